//! The command line and the environment.

mod vault;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use planescape_agent_contract::{LogFormat, LogLevel, LogOverrides, Overrides, parse_duration};

use crate::generate::Wish;
use vault::VaultArguments;
pub(crate) use vault::variable;

/// The task that the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Be the agent.
    Run,
    /// Say what is wrong with the configuration, and end.
    Check,
    /// Wait for the agent.
    Wait,
    /// Look whether the agent is ready.
    Ready,
    /// Print the agent's status.
    Status,
    /// Revoke the token in the environment or in the home folder.
    RevokeToken,
    /// Send a signal to processes.
    Kill(Vec<String>),
    /// Find processes by name.
    PidOf(Vec<String>),
    /// Do nothing for a while.
    Sleep(Vec<String>),
    /// Print the version.
    Version,
    /// Write a configuration.
    Generate(Wish),
}

/// Logs in to Vault, renders templates, renews what they contain, revokes it at the end. Reads
/// `vault agent` and `bao agent` configuration files.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "planescape-agent",
    version,
    max_term_width = 100,
    args_override_self = true
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// A configuration file in HCL or JSON, or a folder of them; may be repeated. Without it the
    /// environment variable `VAULT_CONFIG` holds the configuration in base64.
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) config: Vec<PathBuf>,

    /// End once every template is rendered; `=false` switches the file's `true` off.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, global = true)]
    exit_after_auth: Option<bool>,

    /// Read the configuration, name all its problems, and end.
    #[arg(long, visible_alias = "test-verify-only", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = boolean, global = true)]
    check: bool,

    /// Refuse keys that nobody reads, instead of naming them.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = boolean, global = true)]
    strict: bool,

    #[command(flatten)]
    log: LogArguments,

    #[command(flatten)]
    vault: VaultArguments,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Log")]
struct LogArguments {
    /// How much to log: trace, debug, info, warn or error.
    #[arg(long, value_name = "LEVEL", env = "VAULT_LOG_LEVEL", value_parser = LogLevel::parse, global = true)]
    log_level: Option<LogLevel>,

    /// How to log: standard or json.
    #[arg(long, value_name = "FORMAT", env = "VAULT_LOG_FORMAT", value_parser = LogFormat::parse, global = true)]
    log_format: Option<LogFormat>,

    /// A file that gets the lines, too.
    #[arg(long, value_name = "FILE", global = true)]
    log_file: Option<String>,

    /// How many bytes such a file may have before it is put aside; 0 or less: any number.
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true, global = true)]
    log_rotate_bytes: Option<i64>,

    /// How long such a file is written to before it is put aside.
    #[arg(long, value_name = "DURATION", value_parser = duration, global = true)]
    log_rotate_duration: Option<Duration>,

    /// How many files that were put aside stay; 0: all, -1: none.
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true, global = true)]
    log_rotate_max_files: Option<i64>,

    /// Log to standard output instead of standard error.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = boolean, global = true)]
    combine_logs: bool,

    /// Changes nothing: lines are never held back.
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, global = true)]
    disable_gated_logs: Option<bool>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Be the agent; the same as no command at all.
    Agent {
        /// Changes nothing.
        #[arg(hide = true)]
        words: Vec<String>,
    },
    /// Wait until the agent in this container has rendered every file, then end.
    Wait,
    /// End with 0 if the agent in this container has rendered every file, with 1 if not.
    Ready,
    /// Print as JSON how old every file of the agent in this container is, and how long it works.
    Status,
    /// `token revoke -self`: revoke the token in `VAULT_TOKEN` or in `~/.vault-token`.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Write a configuration that gives a program every field of some secrets as variables.
    GenerateConfig {
        /// `env-template` is the only one there is.
        #[arg(long = "type", value_name = "TYPE", default_value = "")]
        kind: String,
        /// A secret, or all below a path: `secret/app/*`. May be repeated.
        #[arg(long, value_name = "PATH")]
        path: Vec<String>,
        /// The program to start.
        #[arg(long, value_name = "COMMAND", default_value = "env")]
        exec: String,
        /// The file to write.
        #[arg(default_value = "agent.hcl")]
        output: String,
    },
    /// Print the version.
    Version,
    /// Send a signal to processes: `kill [-SIGNAL] PID…`.
    Kill {
        /// The signal with a dash before it, and the processes.
        #[arg(allow_hyphen_values = true, trailing_var_arg = true, required = true)]
        words: Vec<String>,
    },
    /// Print the ids of the processes with one of these names.
    Pidof {
        /// Names of programs.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Do nothing for so many seconds.
    Sleep {
        /// Seconds, or with a unit: 5, 0.5, 2m.
        #[arg(required = true)]
        durations: Vec<String>,
    },
}

#[derive(Clone, Debug, Subcommand)]
enum TokenCommand {
    /// Revoke a token: `-self` is the only one that the agent knows.
    Revoke {
        /// The token itself.
        #[arg(long = "self", required = true)]
        own: bool,
    },
}

/// A command line that cannot be understood, or that asks for help.
#[derive(Debug)]
pub struct Usage(clap::Error);

impl Usage {
    /// Prints the message of clap, and gives the code to end with. An unknown option is also told in the words of
    /// `vault agent`.
    #[must_use]
    pub fn print(&self) -> ExitCode {
        // Failures are ignored: there is nowhere else to report them.
        if let Some(option) = self.unknown_option() {
            let _ = writeln!(io::stderr(), "flag provided but not defined: -{option}");
        }
        let _ = self.0.print();
        match self.0.exit_code() {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    fn unknown_option(&self) -> Option<&str> {
        let what = self.0.get(ContextKind::InvalidArg);
        let ContextValue::String(argument) =
            what.filter(|_| self.0.kind() == ErrorKind::UnknownArgument)?
        else {
            return None;
        };
        argument.strip_prefix("--")
    }
}

impl Arguments {
    /// Reads the command line. Long options may have one dash, as Go programs allow.
    ///
    /// # Errors
    /// The command line has no meaning, or asks for help or the version.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, Usage> {
        let command = Self::command().mut_args(with_its_variable);
        let matches = command
            .try_get_matches_from(with_two_dashes(words))
            .map_err(Usage)?;
        Self::from_arg_matches(&matches).map_err(Usage)
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> Task {
        match self.command.clone() {
            None | Some(Command::Agent { .. }) if self.check => Task::Check,
            None | Some(Command::Agent { .. }) => Task::Run,
            Some(Command::Wait) => Task::Wait,
            Some(Command::Ready) => Task::Ready,
            Some(Command::Status) => Task::Status,
            Some(Command::Token {
                command: TokenCommand::Revoke { .. },
            }) => Task::RevokeToken,
            Some(Command::GenerateConfig {
                kind,
                path,
                exec,
                output,
            }) => Task::Generate(Wish {
                kind,
                paths: path,
                exec,
                output,
            }),
            Some(Command::Version) => Task::Version,
            Some(Command::Kill { words }) => Task::Kill(words),
            Some(Command::Pidof { names }) => Task::PidOf(names),
            Some(Command::Sleep { durations }) => Task::Sleep(durations),
        }
    }

    /// Whether lines go to standard output.
    pub(crate) fn combines_logs(&self) -> bool {
        self.log.combine_logs
    }

    /// The options of the log.
    pub(crate) fn log(&self) -> LogOverrides {
        let log = &self.log;
        LogOverrides {
            level: log.log_level,
            format: log.log_format,
            file: log.log_file.clone().filter(|path| !path.is_empty()),
            rotate_bytes: log
                .log_rotate_bytes
                .map(|bytes| bytes.max(0).unsigned_abs()),
            rotate_duration: log.log_rotate_duration,
            rotate_max_files: log.log_rotate_max_files,
        }
    }

    /// The settings that win over the configuration files. An empty text counts as unset.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            exit_after_auth: self.exit_after_auth,
            refuses_unknown_keys: self.strict,
            log: self.log(),
            ..self.vault.overrides()
        }
    }
}

/// An empty variable counts as unset. The variable of `bao agent` wins over that of `vault agent`.
fn with_its_variable(argument: clap::Arg) -> clap::Arg {
    let Some(name) = argument.get_env().map(OsString::from) else {
        return argument;
    };
    let is_said = |name: &OsString| std::env::var_os(name).is_some_and(|it| !it.is_empty());
    let of_bao = name.to_string_lossy().replacen("VAULT_", "BAO_", 1);
    let of_bao = OsString::from(of_bao);
    if is_said(&of_bao) {
        // clap keeps names for as long as the process lives.
        let of_bao: &'static str = of_bao.to_string_lossy().into_owned().leak();
        argument.env(of_bao)
    } else if std::env::var_os(&name).is_some() && !is_said(&name) {
        argument.env(None)
    } else {
        argument
    }
}

/// `-config=x` means `--config=x`; `-h` and `-V` stay, and so do the words for other programs.
fn with_two_dashes(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    // `agent generate-config` is a command of its own here.
    if words.get(1).is_some_and(|word| word == "agent")
        && words.iter().any(|word| word == "generate-config")
    {
        words.remove(1);
    }
    let mut is_others = false;
    let words = words.into_iter().map(|word| match word.to_str() {
        Some("kill") => {
            is_others = true;
            word
        }
        Some("-ns") => "--namespace".into(),
        Some(text) if text.starts_with("-ns=") => format!("--namespace={}", &text[4..]).into(),
        Some("-help") => "--help".into(),
        Some(text)
            if !is_others
                && text.len() > 2
                && text.starts_with('-')
                && !text.starts_with("--")
                && text.parse::<i64>().is_err() =>
        {
            format!("-{text}").into()
        }
        _ => word,
    });
    words.collect()
}

/// As Go's programs read it.
fn boolean(text: &str) -> Result<bool, String> {
    planescape_agent_contract::parse_bool(text)
        .ok_or_else(|| format!("`{text}` is not a boolean: write true or false"))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_is_as_good_as_two() {
        let arguments = parse(&[
            "agent",
            "-config=/a.hcl",
            "-config",
            "/b.hcl",
            "-exit-after-auth",
            "-log-rotate-max-files=-1",
        ]);

        assert_eq!(
            arguments.config,
            [PathBuf::from("/a.hcl"), PathBuf::from("/b.hcl")]
        );
        assert_eq!(arguments.overrides().exit_after_auth, Some(true));
        assert_eq!(arguments.log().rotate_max_files, Some(-1));
        assert_eq!(arguments.task(), Task::Run);
    }

    #[test]
    fn a_number_below_nothing_is_no_option() {
        let arguments = parse(&["-log-rotate-max-files", "-10", "-log-rotate-bytes=-1"]);

        assert_eq!(arguments.log().rotate_max_files, Some(-10));
        assert_eq!(arguments.log().rotate_bytes, Some(0));
    }

    #[test]
    fn an_exit_after_auth_of_false_is_heard() {
        let arguments = parse(&["-exit-after-auth=false"]);

        assert_eq!(arguments.overrides().exit_after_auth, Some(false));
    }

    #[test]
    fn an_unknown_option_is_refused_by_its_name() {
        for (words, option) in [
            (["agent", "-colour=red"], Some("colour")),
            (["version", "surplus"], None),
        ] {
            let words = std::iter::once("planescape-agent").chain(words);

            let refused = Arguments::parse(words.map(OsString::from)).err();

            assert_eq!(refused.unwrap().unknown_option(), option);
        }
    }

    #[test]
    fn what_is_said_to_kill_keeps_its_dashes() {
        let words = ["-HUP", "17"].map(str::to_owned).to_vec();

        assert_eq!(parse(&["kill", "-HUP", "17"]).task(), Task::Kill(words));
    }

    #[test]
    fn a_namespace_has_a_short_name() {
        let overrides = parse(&["-ns=team"]).overrides();

        assert_eq!(overrides.namespace.as_deref(), Some("team"));
    }

    #[test]
    fn levels_are_read_as_vault_agent_reads_them() {
        for (text, level) in [
            ("WARNING", LogLevel::Warn),
            ("notice", LogLevel::Info),
            ("err", LogLevel::Error),
        ] {
            let arguments = parse(&[&format!("-log-level={text}")]);

            assert_eq!(arguments.log().level, Some(level));
        }
    }

    #[test]
    fn an_argument_keeps_its_variable_unless_that_is_empty() {
        let argument = |name: &'static str| clap::Arg::new("x").env(name);

        assert!(with_its_variable(argument("PATH")).get_env().is_some());
        assert!(
            with_its_variable(argument("NO_SUCH_VARIABLE"))
                .get_env()
                .is_some()
        );
    }

    fn parse(words: &[&str]) -> Arguments {
        let words = std::iter::once("planescape-agent").chain(words.iter().copied());
        Arguments::parse(words.map(OsString::from)).unwrap()
    }
}
