//! Pods on a real node, with real secrets.

mod bad_input;
mod examples;
mod jobs;
mod main_job;
mod node;
