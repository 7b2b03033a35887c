//! Any bytes are a template or none; neither hangs or ends the process.

#![no_main]

use libfuzzer_sys::fuzz_target;
use planescape_templates::{Options, Template};

fuzz_target!(|text: &[u8]| {
    let _ = Template::parse(text, &Options::default());
});
