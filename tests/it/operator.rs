//! The operator as a process, against a real API server and real controllers, without nodes.

mod access;
mod admission;
mod broken_objects;
mod crashes;
mod definitions;
mod field;
mod guard;
mod kstatus;
mod leading;
mod network;
mod protocol;
mod refused;
pub(crate) mod running;
mod runs;
mod vault_reports;
mod way;
