//! Pods on a real node, with real secrets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod examples;
mod failures;
mod first_contact;
mod indexed;
mod injected;
mod injector;
mod jobs;
mod kills;
mod main_job;
mod node;
mod policies;
mod secrets;
