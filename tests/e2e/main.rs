//! Pods on a real node, with real secrets.

mod node;
