//! `planescape`: the operator and its tools.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use planescape_agent_contract::reference;
use planescape_operator::args::{Arguments, Command};
use planescape_operator::commands::crd;
use planescape_operator::{log, words};
use planescape_operator_core::annotations;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nobody else installs a provider");
    match start(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            if tracing::dispatcher::has_been_set() {
                tracing::error!("{}", words::of(&error));
            } else if !has_enough(&error) {
                let _ = writeln!(std::io::stderr(), "planescape: {}", words::of(&error));
            }
            ExitCode::FAILURE
        }
    }
}

/// Whether the reader of standard output is gone, as behind `| head`: there is nothing to tell.
fn has_enough(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn start(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Operator(settings) => {
            log::start(settings.serving.log_format, settings.serving.log_level);
            block_on(planescape_operator::run(*settings))
        }
        Command::Credentials(settings) => {
            log::start(settings.serving.log_format, settings.serving.log_level);
            block_on(planescape_operator::credentials::run(*settings))
        }
        Command::Crd => {
            let mut output = std::io::stdout().lock();
            output.write_all(crd::manifest()?.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Annotations => {
            let mut output = std::io::stdout().lock();
            output.write_all(annotations::page().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::AgentConfiguration => {
            let mut output = std::io::stdout().lock();
            output.write_all(reference::page().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(run) => block_on_one(run.run()),
        Command::Receipt(receipt) => block_on_one(receipt.run()),
        Command::Leases(leases) => block_on_one(leases.run()),
        Command::Convert(convert) => convert.run(),
        Command::Cron(cron) => cron.run(),
        Command::Explain(explain) => explain.run(),
        Command::Template(template) => template.run(),
    }
}

fn block_on_one(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn block_on(program: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(program)?;
    Ok(ExitCode::SUCCESS)
}
