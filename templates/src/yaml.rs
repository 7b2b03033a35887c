//! YAML 1.1 as go-yaml 2 writes and reads it.

mod emit;
mod encoding;
mod order;
mod read;
mod resolve;
mod scalar;
mod scan;

pub(crate) use emit::encode;
pub(crate) use read::decode;
pub use read::{Document, Node, documents};
