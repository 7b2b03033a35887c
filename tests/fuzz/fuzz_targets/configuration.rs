//! Any text is a configuration of the agent, or its problems are told; HCL and JSON alike.

#![no_main]

use libfuzzer_sys::fuzz_target;
use planescape_agent_contract::{Config, Overrides, Tree};

fuzz_target!(|text: &str| {
    if let Ok(tree) = Tree::parse(text) {
        let _ = Config::new(&[tree], &Overrides::default());
    }
});
