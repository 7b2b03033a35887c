//! Kubernetes Secrets that each run gets from Vault.
//!
//! Two programs share this. The operator reads `spec.vault.secrets` into an [`Order`], writes that on the
//! Job, makes the pod template refer to the run's own Secrets ([`references`]) and creates the Job
//! suspended. The program `credentials` reads the order from the Job, and [`decide::next`] says what to do
//! for it: log in, read, write the Secrets, let the Job go, renew, revoke.

pub mod addresses;
mod block;
pub mod content;
pub mod decide;
pub mod failure;
pub mod left;
pub mod life;
mod order;
pub mod pace;
pub mod preflight;
pub mod references;
pub mod run;

pub(crate) use block::auth_mount;
pub use block::read;
pub use order::{Content, Order, OrderedSecret};
