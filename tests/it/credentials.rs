//! `planescape credentials` as a process, with the rights that the manifests give it, against a real API server,
//! a real Vault and a real database.

mod away;
mod canary;
mod denied;
mod faults;
mod flight;
mod guard;
mod identity;
mod left;
mod left_behind;
mod life;
mod openbao;
mod place;
mod preflight;
mod queue;
mod receipts;
mod records;
mod storm;
