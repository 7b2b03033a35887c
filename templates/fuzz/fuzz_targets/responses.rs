//! Any bytes are a document of answers or none, and whatever is in it, templates render with it or fail.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {});
