//! Our programs and the testbed itself against real servers, short of pods.

mod control_plane;
mod secrets;
