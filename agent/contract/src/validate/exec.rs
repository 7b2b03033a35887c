//! The `exec` block: the program that gets the rendered texts as environment variables.

use std::collections::BTreeMap;

use crate::reader::Reader;
use crate::{Exec, Program, Signal, Target, Template};

pub(super) fn read(root: &Reader<'_>, templates: &[Template]) -> Option<Exec> {
    let variables: Vec<&str> = templates
        .iter()
        .filter_map(|template| match &template.target {
            Target::Variable(name) => Some(name.as_str()),
            Target::File(_) => None,
        })
        .collect();
    if !root.is_set("exec") {
        if !variables.is_empty() {
            root.problem(
                "exec",
                "a top-level 'exec' element must be specified with 'env_template' entries",
            );
        }
        return None;
    }
    if variables.is_empty() {
        root.problem(
            "exec",
            "must specify at least one 'env_template' element with a top-level 'exec' element",
        );
    }
    if variables.len() < templates.len() {
        root.problem(
            "exec",
            "'exec' cannot be specified with 'template' entries: use 'env_template', or two agents",
        );
    }
    refuse_twins(root, &variables);
    block(&root.block("exec"))
}

fn block(block: &Reader<'_>) -> Option<Exec> {
    let program = Program::of(block.words("command"));
    if program.is_none() {
        block.problem("command", "is missing: name the program to start");
    }
    let restarts = match block.string("restart_on_secret_changes").as_deref() {
        None | Some("always") => true,
        Some("never") => false,
        Some(other) => {
            block.problem(
                "restart_on_secret_changes",
                format!("unexpected value \"{other}\": write always or never"),
            );
            true
        }
    };
    let stop_signal = block.signal("restart_stop_signal");
    let exec = Exec {
        program: program?,
        restarts,
        stop_signal: stop_signal.unwrap_or(Signal::TERMINATE),
        stdout: block.string("child_process_stdout"),
        stderr: block.string("child_process_stderr"),
    };
    block.deny_unknown();
    Some(exec)
}

/// Two texts for one variable would replace each other.
fn refuse_twins(root: &Reader<'_>, variables: &[&str]) {
    let mut owners = BTreeMap::new();
    for (index, name) in variables.iter().enumerate() {
        if let Some(owner) = owners.insert(name, index) {
            root.problem(
                &format!("env_template[{index}]"),
                format!("`{name}` is also env_template[{owner}]: give each its own name"),
            );
        }
    }
}
