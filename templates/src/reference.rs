//! The reference of all functions, made from the table that the engine itself uses: names and
//! parameters are its own, results are rendered.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::function::Function;
use crate::functions;
use crate::options::{Environment, Options};
use crate::responses::Responses;
use crate::template::Template;
use crate::value::Type;

/// Headings with `#`; name, example and remark with tabs between them.
const EXAMPLES: &str = include_str!("reference/examples.tsv");

/// The secrets that the examples find in Vault.
const RESPONSES: &str = include_str!("reference/responses.json");

const HEAD: &str = "\
# Template functions

Every function that a Go template can call, with what it takes, an example and what the example renders to.
This page is generated: `planescape template functions`. Types are those of Go; `any` takes a value of any type.
The piped value is the last argument. Arguments are never converted: `parseInt` turns a text into a number,
`sprig_int` anything that looks like one.

⏎ stands for a line break.
";

/// The page, in Markdown.
///
/// # Panics
/// If an example is missing or is none of the table's functions; a test looks.
#[must_use]
pub fn functions() -> String {
    let mut page = HEAD.to_owned();
    for line in EXAMPLES.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            let columns =
                "| Function | Takes | Example | Renders to | |\n| --- | --- | --- | --- | --- |";
            // Writing to a string cannot fail.
            let _ = write!(page, "\n## {heading}\n\n{columns}\n");
            continue;
        }
        let mut cells = line.split('\t');
        let name = cells.next().unwrap_or_default();
        let example = cells.next().unwrap_or_default();
        let remark = cells.next().unwrap_or_default();
        let function = functions::find(name.as_bytes()).expect("examples are of functions");
        let _ = writeln!(
            page,
            "| `{name}` | {} | {} | {} | {remark} |",
            parameters(function),
            code(example),
            result(example)
        );
    }
    page
}

/// Functions of the table without an example.
#[must_use]
pub fn undocumented() -> Vec<&'static str> {
    let named: Vec<&str> = EXAMPLES
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    functions::names()
        .filter(|name| !named.contains(name))
        .collect()
}

fn parameters(function: &Function) -> String {
    let name = |of: &Type| match of {
        Type::Any | Type::Raw => "any",
        of => of.name(),
    };
    let mut names: Vec<String> = function
        .params
        .iter()
        .map(|of| name(of).to_owned())
        .collect();
    names.extend(function.variadic.iter().map(|of| format!("{}…", name(of))));
    if names.is_empty() {
        return String::new();
    }
    code(&names.join(", "))
}

/// As code in a cell of a table.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|").replace('\n', "⏎");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

fn result(example: &str) -> String {
    let template = match Template::parse(example.as_bytes(), &Options::default()) {
        Ok(template) => template,
        Err(error) => return format!("error: {}", code(error.message())),
    };
    let responses = Responses::from_json(RESPONSES.as_bytes()).expect("the responses are ours");
    let environment = Environment {
        now: UNIX_EPOCH + Duration::from_secs(1_767_323_045),
        variables: Arc::new(BTreeMap::from([(
            "HOME".to_owned(),
            "/home/app".to_owned(),
        )])),
        destination: None,
        seed: 1,
    };
    let file = |_: &str| Ok(b"app".to_vec());
    match responses.render(&template, &environment, file) {
        Ok(rendered) if rendered.text.is_empty() => String::new(),
        Ok(rendered) => code(&String::from_utf8_lossy(&rendered.text)),
        Err(error) => {
            let text = error.to_string();
            let message = text
                .rsplit_once(">: ")
                .map_or(&*text, |(_, message)| message);
            format!("error: {}", code(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_an_example() {
        assert_eq!(undocumented(), [""; 0]);
    }

    #[test]
    fn the_page_is_the_one_in_the_documentation() {
        let kept = include_str!("../../docs/reference/functions.md");
        assert!(
            functions() == kept,
            "write it anew: planescape template functions >docs/reference/functions.md"
        );
    }
}
