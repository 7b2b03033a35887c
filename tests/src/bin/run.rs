//! The program behind `tests/run`.

use std::process::ExitCode;

use clap::Parser;
use planescape_tests::runner::{self, Part};

/// Passes everything, or the parts named.
#[derive(Parser)]
#[command(name = "tests/run")]
struct Arguments {
    /// Install the Debian packages and the Rust target that are missing.
    #[arg(long)]
    yes: bool,
    /// Only these parts.
    #[arg(value_name = "PART")]
    parts: Vec<Part>,
}

#[expect(
    clippy::print_stdout,
    reason = "the report is what this program is for"
)]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.yes {
        runner::set_up();
    }
    let parts = if arguments.parts.is_empty() {
        Part::usual()
    } else {
        arguments.parts
    };
    let report = runner::run(&parts);
    println!("\n{report}");
    if report.has_passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
