//! Our programs and the testbed itself against real servers, short of pods.

mod cleanup;
mod control_plane;
mod credentials;
mod documents;
mod faults;
mod operator;
mod rules;
mod scripted_vault;
mod secrets;
mod tidy;
