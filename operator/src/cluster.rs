//! The cluster as it is seen from here: what is watched, what is read afresh, what is told.

pub(crate) mod client;
pub(crate) mod events;
pub(crate) mod fresh;
pub(crate) mod index;
pub(crate) mod watches;
