//! Go text/template with the consul-template function set, in pure Rust.
