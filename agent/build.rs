//! Leaves out of the image's program what is read only where a panic unwinds.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=no-unwinding.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    // Cargo tells no build script of `panic = "abort"`; the profile with that is the one for size.
    if is("OPT_LEVEL", "z") && is("CARGO_CFG_TARGET_ENV", "musl") {
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/no-unwinding.ld");
    }
}
