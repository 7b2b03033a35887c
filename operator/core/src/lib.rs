//! Decides what the operator does: API types, injection, planning, status, no IO.
//!
//! The way of one PlanescapeJob through this crate: the shell reads the object and what belongs to
//! it ([`job::observed`]), [`job::validate`] turns it into a job that can run or into every problem
//! it has, [`job::plan`] says what to do now and when to reconcile again, [`run`] builds the Job of
//! a run, and [`job::status`] says what to report. The current time is always an argument.

pub mod annotations;
pub mod api;
pub mod convert;
pub mod credentials;
pub mod defaults;
pub mod dialect;
pub mod election;
pub mod explain;
pub mod inject;
pub mod job;
pub mod manifest;
pub mod problem;
pub mod receipt;
pub mod run;
pub mod schedule;
