//! One run: the Job that is made for one instant of a schedule, and its names.

mod build;
mod digest;
mod name;
mod refusal;

pub use build::build;
pub use digest::of as digest;
pub use name::fnv as spread;
pub use refusal::{without_values, written_at};
