//! One run: the Job that is made for one instant of a schedule, and its names.

mod build;
mod name;

pub use build::build;
