//! Settings of the election between several operators.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use jiff::SignedDuration;
use planescape_operator_core::election::Timing;

/// Whether and how several operators agree on who leads.
#[derive(Clone, Debug, Args)]
pub struct Election {
    /// Whether to agree with other operators on who leads, by a Lease. An operator that is the only one may
    /// go without.
    #[arg(
        long,
        env = "PLANESCAPE_LEADER_ELECT",
        value_name = "BOOL",
        default_value = "true",
        action = clap::ArgAction::Set
    )]
    pub leader_elect: bool,

    /// The Lease's namespace; the operator's own when absent.
    #[arg(
        long,
        env = "PLANESCAPE_LEADER_ELECT_NAMESPACE",
        value_name = "NAMESPACE",
        value_parser = super::namespace_name
    )]
    pub leader_elect_namespace: Option<String>,

    /// The Lease's name; the program's when absent, such as planescape-operator, followed by the one namespace that is watched.
    #[arg(long, env = "PLANESCAPE_LEADER_ELECT_NAME", value_name = "NAME")]
    pub leader_elect_name: Option<String>,

    /// How long a leader that is gone is waited for, in whole seconds.
    #[arg(
        long,
        env = "PLANESCAPE_LEADER_ELECT_LEASE_DURATION",
        value_name = "DURATION",
        default_value = "15s",
        value_parser = duration
    )]
    pub leader_elect_lease_duration: Duration,

    /// How long a leader tries to renew the Lease before it ends itself; shorter than the lease duration.
    #[arg(
        long,
        env = "PLANESCAPE_LEADER_ELECT_RENEW_DEADLINE",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration
    )]
    pub leader_elect_renew_deadline: Duration,

    /// The pause between two tries; shorter than half the renew deadline.
    #[arg(
        long,
        env = "PLANESCAPE_LEADER_ELECT_RETRY_PERIOD",
        value_name = "DURATION",
        default_value = "2s",
        value_parser = duration
    )]
    pub leader_elect_retry_period: Duration,
}

impl Election {
    /// Times that fit each other, or everything that is wrong with them.
    pub fn timing(&self) -> anyhow::Result<Timing> {
        let timing = Timing::new(
            self.leader_elect_lease_duration,
            self.leader_elect_renew_deadline,
            self.leader_elect_retry_period,
        );
        timing.map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow!(
                "--leader-elect-lease-duration, --leader-elect-renew-deadline, --leader-elect-retry-period: {}; 15s, 10s and 2s fit each other",
                problems.join("; ")
            )
        })
    }

    /// The Lease's name for a program of one namespace, or of all.
    pub fn lease_name(&self, program: &str, scope: Option<&str>) -> String {
        let given = self.leader_elect_name.as_deref();
        match (given.filter(|name| !name.is_empty()), scope) {
            (Some(name), _) => name.to_owned(),
            (None, Some(scope)) => format!("{program}-{scope}"),
            (None, None) => program.to_owned(),
        }
    }

    /// The Lease's namespace, `own` unless another one is given.
    pub fn lease_namespace<'a>(&'a self, own: &'a str) -> &'a str {
        let given = self.leader_elect_namespace.as_deref();
        given.filter(|name| !name.is_empty()).unwrap_or(own)
    }
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let duration: SignedDuration = text
        .parse()
        .ok()
        .context("is not a duration; write for example 15s")?;
    Duration::try_from(duration).context("is negative; write for example 15s")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    const PROGRAM: &str = "planescape-operator";

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        election: Election,
    }

    #[test]
    fn names_the_lease_after_the_namespace_that_is_watched() {
        let election = parse(&[]).unwrap();
        assert!(election.leader_elect && election.timing().is_ok());
        assert_eq!(election.lease_name(PROGRAM, None), "planescape-operator");
        assert_eq!(
            election.lease_name(PROGRAM, Some("team")),
            "planescape-operator-team"
        );
        assert_eq!(election.lease_namespace("own"), "own");

        let election = parse(&[
            "--leader-elect-name=a",
            "--leader-elect-namespace=b",
            "--leader-elect=false",
        ])
        .unwrap();
        assert!(!election.leader_elect);
        assert_eq!(election.lease_name(PROGRAM, Some("team")), "a");
        assert_eq!(election.lease_namespace("own"), "b");
    }

    #[test]
    fn says_everything_that_is_wrong_with_the_times() {
        let election = parse(&[
            "--leader-elect-lease-duration=1m",
            "--leader-elect-renew-deadline=1h",
            "--leader-elect-retry-period=0s",
        ]);

        let said = election.unwrap().timing().unwrap_err().to_string();

        assert!(
            said.contains("renew deadline") && said.contains("retry period"),
            "{said}"
        );
        for wrong in ["15", "-5s", "soon"] {
            let argument = format!("--leader-elect-lease-duration={wrong}");
            assert!(parse(&[&argument]).is_err(), "{wrong}");
        }
    }

    fn parse(arguments: &[&str]) -> Result<Election, clap::Error> {
        let arguments = [&["operator"], arguments].concat();
        Program::try_parse_from(arguments).map(|program| program.election)
    }
}
