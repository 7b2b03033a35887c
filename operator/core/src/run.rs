//! One run: the Job that is made for one instant of a schedule, and its names.

mod build;
mod digest;
mod name;
mod refusal;
mod rerun;

pub use build::build;
pub use digest::of as digest;
pub use name::{fnv as spread, rerun_of};
pub use refusal::{without_values, written_at};
pub use rerun::{Occasion, Request, requested_id, rerun_id};
