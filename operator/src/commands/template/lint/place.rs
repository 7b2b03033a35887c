//! From a place in a template to its place in the file that holds it.

use planescape_templates::lint::Finding;

use super::source::Source;

/// A place in a file; lines and columns from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    /// The first column behind it.
    pub(super) end: usize,
    /// The line itself.
    pub(super) text: String,
    /// Whether line and column are those of the key whose value holds the template, because the file
    /// writes the template in another way than it reads.
    pub(super) is_approximate: bool,
}

pub(super) fn of(finding: &Finding, source: &Source, file: &[u8]) -> Place {
    let file = String::from_utf8_lossy(file);
    let lines: Vec<&str> = file.lines().collect();
    let template = String::from_utf8_lossy(&source.text);
    let line = template.lines().nth(finding.line - 1).unwrap_or_default();
    let characters = |bytes: usize| {
        String::from_utf8_lossy(&line.as_bytes()[..bytes.min(line.len())])
            .chars()
            .count()
    };
    let column = characters(finding.column);
    let width = characters(finding.column + finding.width)
        .saturating_sub(column)
        .max(1);

    let key = source
        .within
        .as_deref()
        .map_or(0, |key| line_of(key, &lines));
    let starts = (key..lines.len()).chain(0..key);
    let found = starts
        .filter_map(|start| Some((start, begin(&lines[start..], &template)?)))
        .next();
    let Some((start, shifts)) = found else {
        let text = lines.get(key).copied().unwrap_or_default();
        let column = text.chars().take_while(|c| c.is_whitespace()).count() + 1;
        return Place {
            line: key + 1,
            column,
            end: text.chars().count().max(column) + 1,
            text: text.to_owned(),
            is_approximate: true,
        };
    };
    let shift = shifts.get(finding.line - 1).copied().unwrap_or(0);
    let number = start + finding.line;
    Place {
        line: number,
        column: shift + column + 1,
        end: shift + column + width + 1,
        text: lines
            .get(number - 1)
            .copied()
            .unwrap_or_default()
            .to_owned(),
        is_approximate: false,
    }
}

/// The line that holds a key, by its name alone.
fn line_of(key: &str, lines: &[&str]) -> usize {
    let name = key.rsplit('/').next().unwrap_or(key);
    let holds = |line: &&str| {
        line.split([':', '='])
            .next()
            .is_some_and(|left| left.contains(name))
    };
    lines.iter().position(holds).unwrap_or(0)
}

/// Whether a template stands here line by line, and how far each of its lines is moved to the right.
fn begin(lines: &[&str], template: &str) -> Option<Vec<usize>> {
    let mut wanted = template.lines();
    let first = wanted.next()?;
    let at = lines.first()?.find(first)?;
    let before = &lines[0][..at];
    let mut shifts = vec![before.chars().count()];
    let rest: Vec<&str> = wanted.collect();
    if first.trim().is_empty() && rest.is_empty() {
        return None;
    }
    // The text before the first of several lines is their indentation, unless the file is the template.
    if !rest.is_empty() && (!before.trim().is_empty() || at + first.len() != lines[0].len()) {
        return None;
    }
    for (index, wanted) in rest.iter().enumerate() {
        let line = lines.get(index + 1).copied();
        if wanted.trim().is_empty() {
            line.is_none_or(|line| line.trim().is_empty())
                .then_some(())?;
            shifts.push(0);
            continue;
        }
        let line = line?;
        let indentation = line.strip_suffix(wanted)?;
        (indentation.trim().is_empty()).then_some(())?;
        shifts.push(indentation.chars().count());
    }
    Some(shifts)
}

#[cfg(test)]
mod tests {
    use planescape_templates::Options;
    use planescape_templates::lint::Rule;

    use super::*;

    fn place(
        file: &str,
        within: Option<&str>,
        template: &str,
        line: usize,
        column: usize,
    ) -> Place {
        let source = Source {
            within: within.map(str::to_owned),
            text: template.as_bytes().to_vec(),
            options: Options::default(),
        };
        let finding = Finding {
            line,
            column,
            width: 2,
            rule: Rule::Syntax,
            message: String::new(),
            suggestion: String::new(),
        };
        of(&finding, &source, file.as_bytes())
    }

    #[test]
    fn a_file_that_is_the_template_keeps_its_places() {
        let found = place("é {{ x }}\n{{ y }}\n", None, "é {{ x }}\n{{ y }}\n", 1, 6);
        assert_eq!((found.line, found.column, found.end), (1, 6, 8));
        assert_eq!(found.text, "é {{ x }}");
    }

    #[test]
    fn an_indented_block_moves_them() {
        let file = "a:\n  agent-inject-template-x: |\n    {{ a }}\n\n      {{ b }}\n";
        let template = "{{ a }}\n\n  {{ b }}\n";
        let found = place(
            file,
            Some("vault.hashicorp.com/agent-inject-template-x"),
            template,
            3,
            5,
        );
        assert_eq!((found.line, found.column), (5, 10));
    }

    #[test]
    fn of_two_equal_templates_the_one_behind_the_key_is_meant() {
        let file = "agent-inject-template-a: '{{ x }}'\nagent-inject-template-b: '{{ x }}'\n";
        let found = place(file, Some("agent-inject-template-b"), "{{ x }}", 1, 3);
        assert_eq!((found.line, found.column), (2, 30));
    }

    #[test]
    fn a_template_that_is_written_with_escapes_is_at_its_key() {
        let file = "x: 1\n  agent-inject-template-a: \"{{ x }}\\n{{ y }}\"\n";
        let found = place(
            file,
            Some("agent-inject-template-a"),
            "{{ x }}\n{{ y }}",
            2,
            3,
        );
        assert_eq!(
            (found.line, found.column, found.is_approximate),
            (2, 3, true)
        );
    }
}
