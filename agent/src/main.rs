//! The agent's process: arguments in, exit code out.

use std::process::ExitCode;

use planescape_agent::args::{Arguments, Task};
use planescape_agent::tools;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(usage) => return usage.print(),
    };
    match arguments.task() {
        Task::Run => planescape_agent::run(&arguments),
        Task::Check => planescape_agent::check(&arguments),
        Task::Wait => planescape_agent::wait(&arguments),
        Task::Kill(words) => tools::kill(&words),
        Task::PidOf(names) => tools::pid_of(&names),
        Task::Sleep(durations) => tools::sleep(&durations),
    }
}
