//! The cluster as it is seen from here: objects that are watched, objects that are read afresh, and events.

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
