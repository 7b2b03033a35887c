//! The agent's process: arguments in, exit code out.

use std::process::ExitCode;

use planescape_agent::args::{Arguments, Task};
use planescape_agent::{shell, tools};

/// The allocator of musl gives every page back at once and takes it again: a sixth of the time of a start.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if let Some(code) = shell::by_name(&words) {
        return code;
    }
    let arguments = match Arguments::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(usage) => return usage.print(),
    };
    match arguments.task() {
        Task::Run => planescape_agent::run(&arguments),
        Task::Check => planescape_agent::check(&arguments),
        Task::RevokeToken => planescape_agent::revoke_token(&arguments),
        Task::Wait => planescape_agent::wait(&arguments),
        Task::Ready => planescape_agent::ready(&arguments),
        Task::Status => planescape_agent::status(&arguments),
        Task::Generate(wish) => planescape_agent::generate_config(&arguments, &wish),
        Task::Version => planescape_agent::version(),
        Task::Kill(words) => tools::kill(&words),
        Task::PidOf(names) => tools::pid_of(&names),
        Task::Sleep(durations) => tools::sleep(&durations),
    }
}
