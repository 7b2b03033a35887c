//! YAML 1.1 as go-yaml 2 writes and reads it.

mod block;
mod emit;
mod flow;
mod read;
mod resolve;
mod scalar;

pub(crate) use emit::encode;
pub(crate) use read::decode;
