//! A `template` block.

use crate::reader::Reader;
use crate::template::{Engine, Output, Template, TemplateText};

/// Keys of `vault agent` that we do not serve yet.
const UNSUPPORTED: [&str; 9] = [
    "backup",
    "command",
    "command_timeout",
    "exec",
    "gid",
    "group",
    "uid",
    "user",
    "wait",
];

pub(super) fn read(block: &Reader<'_>) -> Template {
    block.refuse(&UNSUPPORTED);
    let text = match (block.string("contents"), block.string("source")) {
        (Some(contents), None) => TemplateText::Inline(contents),
        (None, Some(source)) => TemplateText::File(source),
        (Some(_), Some(_)) | (None, None) => {
            block.problem("contents", "must specify exactly one of source or contents");
            TemplateText::Inline(String::new())
        }
    };
    let destination = block.string("destination");
    if destination.is_none() {
        block.problem("destination", "is missing: name the file to write");
    }
    let engine = named(block, "engine", Engine::named, &Engine::NAMES);
    let delimiter = |key, default: &str| block.string(key).unwrap_or_else(|| default.to_owned());
    let template = Template {
        text,
        destination: destination.unwrap_or_default(),
        mode: block.mode("perms").filter(|mode| mode.bits() != 0),
        create_parents: block.boolean("create_dest_dirs").unwrap_or(true),
        engine,
        output: named(block, "output", Output::named, &Output::NAMES),
        left_delimiter: delimiter("left_delimiter", "{{"),
        right_delimiter: delimiter("right_delimiter", "}}"),
        error_on_missing_key: block
            .boolean("error_on_missing_key")
            .unwrap_or(engine == Engine::Handlebars),
        denied_functions: [
            block.strings("function_denylist"),
            block.strings("function_blacklist"),
        ]
        .concat(),
        sandbox_path: block.string("sandbox_path"),
    };
    refuse_delimiters(block, &template);
    block.ignore(&["error_fatal"]);
    block.deny_unknown();
    template
}

/// One of several words; the first where there is none, or an unknown one.
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
