//! The page of the agent's configuration, made from a table: the type of each key, its default, and its meaning. Tests
//! hold the table against the readers.
//!
//! The agent prints no page, so that none of this is part of its program.

/// Headings and texts as they stand on the page; keys, type, default and meaning with tabs between them.
const TABLE: &str = include_str!("reference/keys.tsv");

const COLUMNS: &str = "| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n";

/// Keys of one type and one meaning.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) keys: Vec<&'static str>,
    /// Empty if the value has no effect.
    pub(crate) kind: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

impl Row {
    /// `None` if the line is not a row.
    fn read(line: &'static str) -> Option<Self> {
        let (keys, rest) = line.split_once('\t')?;
        let mut cells = rest.split('\t');
        let mut cell = || cells.next().unwrap_or_default();
        Some(Self {
            keys: keys.split(", ").collect(),
            kind: cell(),
            default: cell(),
            meaning: cell(),
        })
    }

    fn shown(&self) -> String {
        let code = |text: &&str| format!("`{text}`");
        let keys: Vec<String> = self.keys.iter().map(code).collect();
        let default = match self.default {
            "" => String::new(),
            text => code(&text),
        };
        let (keys, kind, meaning) = (keys.join(", "), self.kind, self.meaning);
        format!("| {keys} | {kind} | {default} | {meaning} |\n")
    }
}

/// The page, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = String::new();
    let mut is_in_table = false;
    for line in TABLE.lines() {
        let row = Row::read(line);
        match &row {
            Some(row) => {
                if !is_in_table {
                    page.push_str(COLUMNS);
                }
                page.push_str(&row.shown());
            }
            None => {
                page.push_str(line);
                page.push('\n');
            }
        }
        is_in_table = row.is_some();
    }
    page
}

/// All rows with the blocks that headings name; at the top the name is empty.
#[cfg(test)]
pub(crate) fn rows() -> Vec<(String, Row)> {
    let mut block = String::new();
    let mut rows = Vec::new();
    for line in TABLE.lines() {
        match line.strip_prefix("## ") {
            Some("At the top") => block.clear(),
            Some(heading) => block = heading.replace('`', ""),
            None => rows.extend(Row::read(line).map(|row| (block.clone(), row))),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_one_in_the_documentation() {
        let kept = include_str!("../../../docs/reference/agent-configuration.md");

        assert!(
            page() == kept,
            "write it anew: planescape agent-configuration >docs/reference/agent-configuration.md"
        );
    }

    #[test]
    fn every_key_has_a_meaning_and_a_type_unless_it_is_without_effect() {
        let unfit = |row: &Row| {
            let has_effect =
                !row.meaning.contains("ithout effect") && !row.meaning.starts_with("Not allowed");
            !row.meaning.ends_with('.') || row.kind.is_empty() == has_effect
        };

        let unfit: Vec<Row> = rows()
            .into_iter()
            .map(|(_, row)| row)
            .filter(unfit)
            .collect();

        assert!(unfit.is_empty(), "{unfit:#?}");
    }
}
