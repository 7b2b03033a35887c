//! The documentation's examples print what it says they print.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_console_shows_what_the_templates_page_shows() {
    let folder = tempfile::tempdir().unwrap();
    let page = include_str!("../../../docs/templates.md");
    let mut commands = 0;
    for (command, shown) in sessions(page) {
        match command.split_once(' ').unwrap() {
            ("cat", file) => fs::write(folder.path().join(file), shown).unwrap(),
            ("planescape", arguments) => {
                assert_eq!(printed(arguments, folder.path()), shown, "{command}");
                commands += 1;
            }
            _ => panic!("{command}"),
        }
    }
    assert!(commands >= 2);
}

/// Every command of the page's console blocks, and what follows it.
fn sessions(page: &str) -> Vec<(String, String)> {
    let mut sessions: Vec<(String, String)> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => sessions.push((command.to_owned(), String::new())),
                None => {
                    let (_, shown) = sessions.last_mut().unwrap();
                    shown.push_str(line);
                    shown.push('\n');
                }
            }
        }
    }
    sessions
}

/// A text without a line break at its end gets one, as a page shows it.
fn printed(arguments: &str, folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_planescape"))
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if text.ends_with('\n') {
        text
    } else {
        text + "\n"
    }
}
