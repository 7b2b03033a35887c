//! A `template` block, and an `env_template` block, which has fewer keys.

mod hook;

use std::time::Duration;

use crate::duration::parse_duration;
use crate::reader::Reader;
use crate::template::{Engine, Output, Target, Template, TemplateText, Wait};
use crate::{Id, Owner};

/// Keys that make sense for a file alone.
const OF_FILES: [&str; 16] = [
    "backup",
    "command",
    "command_timeout",
    "create_dest_dirs",
    "destination",
    "exec",
    "gid",
    "group",
    "overlap",
    "perms",
    "process",
    "sandbox_path",
    "signal",
    "uid",
    "user",
    "wait",
];

/// A `template` block.
pub(super) fn read(block: &Reader<'_>) -> Template {
    let destination = block.string("destination");
    if destination.is_none() {
        block.problem("destination", "is missing: name the file to write");
    }
    let target = Target::File(destination.unwrap_or_default());
    let template = Template {
        mode: block.mode("perms").filter(|mode| mode.bits() != 0),
        create_parents: block.boolean("create_dest_dirs").unwrap_or(true),
        owner: Owner {
            user: id(block, "user", "uid"),
            group: id(block, "group", "gid"),
        },
        backup: block.boolean("backup").unwrap_or(false),
        hook: hook::read(block),
        wait: wait(block),
        overlap: block.duration("overlap").filter(|it| !it.is_zero()),
        sandbox_path: block.string("sandbox_path"),
        ..text(block, target)
    };
    block.deny_unknown();
    template
}

/// An `env_template` block.
pub(super) fn read_variable(block: &Reader<'_>) -> Template {
    let names = block.labels();
    if names.len() != 1 {
        block.problem(
            "",
            format!(
                "expected one and only one environment variable name, got {}",
                names.len()
            ),
        );
    }
    let name = names.first().copied().unwrap_or_default();
    if name.contains(['=', '\0']) {
        block.problem("", "an environment variable's name has no `=` in it");
    }
    for key in OF_FILES.into_iter().filter(|key| block.is_set(key)) {
        block.problem(key, format!("'{key}' is not allowed: remove it"));
    }
    let template = text(block, Target::Variable(name.to_owned()));
    block.deny_unknown();
    template
}

/// The part that both blocks have.
fn text(block: &Reader<'_>, target: Target) -> Template {
    let text = match (block.string("contents"), block.string("source")) {
        (Some(contents), None) => TemplateText::Inline(contents),
        (None, Some(source)) => TemplateText::File(source),
        (Some(_), Some(_)) | (None, None) => {
            block.problem("contents", "must specify exactly one of source or contents");
            TemplateText::Inline(String::new())
        }
    };
    let engine = named(block, "engine", Engine::named, &Engine::NAMES);
    let delimiter = |key, default: &str| block.string(key).unwrap_or_else(|| default.to_owned());
    let template = Template {
        text,
        target,
        mode: None,
        create_parents: true,
        owner: Owner::default(),
        backup: false,
        hook: None,
        wait: None,
        overlap: None,
        engine,
        output: named(block, "output", Output::named, &Output::NAMES),
        left_delimiter: delimiter("left_delimiter", "{{"),
        right_delimiter: delimiter("right_delimiter", "}}"),
        error_on_missing_key: block
            .boolean("error_on_missing_key")
            .unwrap_or(engine == Engine::Handlebars),
        error_fatal: block.boolean("error_fatal").unwrap_or(true),
        denied_functions: [
            block.strings("function_denylist"),
            block.strings("function_blacklist"),
        ]
        .concat(),
        sandbox_path: None,
    };
    refuse_delimiters(block, &template);
    template
}

/// A name or a number. The number also has a key of its own.
fn id(block: &Reader<'_>, name: &'static str, number: &'static str) -> Option<Id> {
    let by_number = block.id(number);
    let by_name = block.text_or_number(name);
    by_name.map(|text| Id::parse(&text)).or(by_number)
}

/// `"5s"`, `"5s:20s"`, or a block with `min` and `max`; the last one counts.
fn wait(block: &Reader<'_>) -> Option<Wait> {
    let (min, max) = match block.text("wait") {
        Some(text) => {
            let (min, max) = match text.split_once(':') {
                Some((min, max)) => (min, Some(max)),
                None => (text, None),
            };
            let read = |text: &str| {
                parse_duration(text).map_err(|error| block.problem("wait", error.to_string()))
            };
            (read(min).ok()?, max.map(read).transpose().ok()?)
        }
        None => {
            let wait = block.last_block("wait")?;
            let enabled = wait.boolean("enabled").unwrap_or(true);
            let (min, max) = (wait.duration("min"), wait.duration("max"));
            wait.deny_unknown();
            if !enabled {
                return None;
            }
            (min.unwrap_or(Duration::ZERO), max)
        }
    };
    let max = max.filter(|max| !max.is_zero());
    let max = max.unwrap_or_else(|| min.saturating_mul(4));
    // In a block the shorter one counts, as in `vault agent`.
    if max < min && block.text("wait").is_some() {
        block.problem(
            "wait",
            "the longest wait is shorter than the shortest: make max at least min",
        );
    }
    (!max.is_zero()).then_some(Wait { min, max })
}

/// One of several words; the first word if the key is absent or its word unknown.
fn named<T: Default>(
    block: &Reader<'_>,
    key: &'static str,
    named: fn(&str) -> Option<T>,
    names: &[&str],
) -> T {
    let Some(name) = block.string(key) else {
        return T::default();
    };
    named(&name).unwrap_or_else(|| {
        let known = names.join(", ");
        block.problem(
            key,
            format!("unknown {key} \"{name}\": choose one of {known}"),
        );
        T::default()
    })
}

fn refuse_delimiters(block: &Reader<'_>, template: &Template) {
    if template.engine != Engine::Handlebars {
        return;
    }
    for (key, delimiter, usual) in [
        ("left_delimiter", &template.left_delimiter, "{{"),
        ("right_delimiter", &template.right_delimiter, "}}"),
    ] {
        if delimiter != usual {
            block.problem(key, format!("must be {usual} in handlebars: remove it"));
        }
    }
}
