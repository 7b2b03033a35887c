//! Any template renders or fails within its limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use planescape_templates::{Answers, Environment, Limits, Options, Template};

fuzz_target!(|text: &[u8]| {
    let options = Options {
        limits: Limits {
            iterations: 10_000,
            output: 1 << 16,
            work: 1 << 20,
            ..Limits::default()
        },
        ..Options::default()
    };
    if let Ok(template) = Template::parse(text, &options) {
        let _ = template.render(&Answers::new(), &Environment::default());
    }
});
