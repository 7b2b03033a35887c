//! The cluster as it is seen from here: what is watched, what is read afresh, what is told.

#[cfg(test)]
mod budget_tests;
pub(crate) mod client;
pub(crate) mod events;
pub(crate) mod fresh;
pub(crate) mod gate;
pub(crate) mod index;
pub(crate) mod planescape_jobs;
pub(crate) mod skew;
pub(crate) mod slim;
pub(crate) mod watches;
