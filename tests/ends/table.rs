//! The table: how a run ends, who is in trouble meanwhile, and what holds then.

use std::time::Duration;

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Succeeds,
    Fails,
    /// The job's container is killed, as for lack of memory.
    Killed,
    /// The operator also ends a stuck run in this way, and a run that Vault refuses.
    OverDeadline,
    PodDeleted,
    /// Through the API, as `kubectl drain` does.
    Evicted,
    PlanescapeJobDeleted,
    /// After its pods, as `concurrencyPolicy: Replace` does.
    JobDeleted,
    /// `ttlSecondsAfterFinished: 0`.
    DeletedAtOnce,
    NamespaceDeleted,
    /// By somebody, for good: the run has not ended, and keeps its Secret.
    Suspended,
    /// With `--force`: the API server forgets the pod at once.
    ForceDeleted,
    /// The agent is not heard of again, and the pod is deleted with `--force`.
    NodeLost,
}

pub(crate) const WAYS: [Way; 13] = [
    Way::Succeeds,
    Way::Fails,
    Way::Killed,
    Way::OverDeadline,
    Way::PodDeleted,
    Way::Evicted,
    Way::PlanescapeJobDeleted,
    Way::JobDeleted,
    Way::DeletedAtOnce,
    Way::NamespaceDeleted,
    Way::Suspended,
    Way::ForceDeleted,
    Way::NodeLost,
];

/// The program that is killed or out of reach when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Nobody,
    Agent,
    /// For ten seconds.
    Kubelet,
    /// Both, at once.
    Operators,
    /// Both, at once.
    Credentials,
    /// Sealed for five seconds, and what it remembers is read anew.
    Vault,
    /// Killed, and started again after five seconds.
    VaultKilled,
    /// Between the node and all servers, for ten seconds.
    Network,
}

pub(crate) const TROUBLES: [Trouble; 8] = [
    Trouble::Nobody,
    Trouble::Agent,
    Trouble::Kubelet,
    Trouble::Operators,
    Trouble::Credentials,
    Trouble::Vault,
    Trouble::VaultKilled,
    Trouble::Network,
];

/// The program that ends the lease of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Itself, on SIGTERM.
    Agent,
    /// `planescape credentials`, by the accessor.
    Credentials,
    /// Vault: the token ends by itself.
    Guard,
}

/// The lease guard of these runs.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// How often the kubelet looks at its containers.
const KUBELET: Duration = Duration::from_secs(1);

/// How often the Job controller takes in what became of pods. A Job has ended when its agent has, too.
const JOB_CONTROLLER: Duration = Duration::from_secs(1);

/// How long the namespace controller waits before it deletes what a namespace holds: every API server is to know of it first.
const NAMESPACE_CONTROLLER: Duration = Duration::from_secs(5);

/// How a run ended, and how long its leases lived on. Times count from when the run was made to end and everybody was
/// there again.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) way: Way,
    pub(crate) trouble: Trouble,
    /// Whether the agent told Vault to revoke its own token.
    pub(crate) by_agent: bool,
    /// The lease of the agent; none where it lived on.
    pub(crate) file: Option<Duration>,
    /// The lease of the Secret.
    pub(crate) secret: Option<Duration>,
    /// A claim of the status while Vault still listed the agent's lease.
    pub(crate) untrue: Option<String>,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Succeeds => "succeeds",
            Self::Fails => "fails",
            Self::Killed => "killed",
            Self::OverDeadline => "deadline",
            Self::PodDeleted => "pod-deleted",
            Self::Evicted => "evicted",
            Self::PlanescapeJobDeleted => "pjob-deleted",
            Self::JobDeleted => "job-deleted",
            Self::DeletedAtOnce => "ttl-zero",
            Self::NamespaceDeleted => "namespace-deleted",
            Self::Suspended => "suspended",
            Self::ForceDeleted => "forced",
            Self::NodeLost => "node-lost",
        }
    }

    /// Whether it begins with the end of the job's container.
    pub(crate) fn is_of_container(self) -> bool {
        matches!(
            self,
            Self::Succeeds | Self::Fails | Self::Killed | Self::DeletedAtOnce
        )
    }

    /// Whether the lease of its Secret ends with it.
    pub(crate) fn ends_secret(self) -> bool {
        self != Self::Suspended
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Succeeds => "its container succeeds",
            Self::Fails => "its container fails",
            Self::Killed => "its container is killed, as for lack of memory",
            Self::OverDeadline => "it is over `activeDeadlineSeconds`",
            Self::PodDeleted => "its pod is deleted",
            Self::Evicted => "its pod is evicted",
            Self::JobDeleted => "its Job is deleted after its pods, as `Replace` does",
            Self::DeletedAtOnce => "its container succeeds, and its Job is deleted at once",
            Self::NamespaceDeleted => "its namespace is deleted",
            Self::Suspended => "its Job is suspended by somebody",
            Self::PlanescapeJobDeleted => "its PlanescapeJob is deleted",
            Self::ForceDeleted => "its pod is deleted with `--force`",
            Self::NodeLost => "its node is lost, and its pod deleted with `--force`",
        }
    }
}

impl Trouble {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Agent => "agent",
            Self::Kubelet => "kubelet",
            Self::Operators => "operators",
            Self::Credentials => "credentials",
            Self::Vault => "vault",
            Self::VaultKilled => "vault-killed",
            Self::Network => "network",
        }
    }

    /// How long it lasts.
    pub(crate) fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Nobody | Self::Agent | Self::Operators | Self::Credentials => 0,
            Self::Vault | Self::VaultKilled => 5,
            Self::Kubelet | Self::Network => 10,
        })
    }

    /// How long after that everybody may need to notice.
    fn recovery(self, way: Way, by: By) -> Duration {
        Duration::from_secs(match (self, by) {
            // A guard counts from the agent's last breath.
            (_, By::Guard) => 0,
            (Self::Nobody | Self::Agent | Self::Operators, _) => 0,
            // A client that waits tries again after as long as it has waited.
            (Self::Vault, _) => 6,
            // The same, of a longer time: it starts, and elects itself.
            (Self::VaultKilled, _) => 15,
            (Self::Kubelet, _) => 5,
            // A Lease is out of date after 15 seconds, and the kubelet starts again what has ended.
            (Self::Credentials, By::Credentials) => 20,
            // A Job with a lease stays, with its pods, until that is revoked.
            (Self::Credentials | Self::Network, By::Agent) if way == Way::PlanescapeJobDeleted => {
                20
            }
            (Self::Credentials, By::Agent) => 0,
            // A leader that could not renew its Lease for ten seconds ends itself.
            (Self::Network, By::Credentials) => 20,
            // Both ends of a connection send again after as long as they have waited.
            (Self::Network, By::Agent) => 15,
        })
    }
}

impl By {
    fn words(self) -> &'static str {
        match self {
            Self::Agent => "the agent",
            Self::Credentials => "`planescape credentials`",
            Self::Guard => "Vault, by a lease guard of a minute",
        }
    }

    fn bound(self) -> Duration {
        match self {
            Self::Agent => Duration::from_secs(2),
            Self::Credentials => Duration::from_secs(5),
            Self::Guard => GUARD + Duration::from_secs(5),
        }
    }
}

/// The one that ends the agent's lease.
pub(crate) fn by(way: Way, trouble: Trouble) -> By {
    match (way, trouble) {
        (Way::NodeLost, _) => By::Guard,
        // Nobody can ask the agent to end, or it cannot reach Vault before it is killed, and no pod shows its accessor.
        (
            Way::ForceDeleted,
            Trouble::Agent
            | Trouble::Kubelet
            | Trouble::Vault
            | Trouble::VaultKilled
            | Trouble::Network,
        ) => By::Guard,
        (_, Trouble::Agent) => By::Credentials,
        // The kubelet ends these by itself, and the agent cannot reach Vault for as long as it may take.
        (way, Trouble::Network) if way.is_of_container() => By::Credentials,
        (_, _) => By::Agent,
    }
}

impl End {
    fn by(&self) -> By {
        by(self.way, self.trouble)
    }

    pub(crate) fn bounds(&self) -> (Duration, Duration) {
        let file = self.by().bound() + self.trouble.recovery(self.way, self.by());
        let file = file
            + if self.by() == By::Guard {
                Duration::ZERO
            } else {
                KUBELET
            };
        let secret = By::Credentials.bound() + self.trouble.recovery(self.way, By::Credentials);
        let secret = secret + KUBELET + By::Agent.bound() + JOB_CONTROLLER;
        let is_late = self.way == Way::NamespaceDeleted;
        let wait = if is_late {
            NAMESPACE_CONTROLLER
        } else {
            Duration::ZERO
        };
        (file + wait, secret + wait)
    }

    fn named(&self) -> String {
        format!("{}, {}", self.way.name(), self.trouble.name())
    }

    /// The complaint about it, however slow the machine is.
    pub(crate) fn complaint(&self) -> Option<String> {
        let complaint = match (self.file, self.secret, &self.untrue) {
            (None, _, _) => "the agent's lease lives on".to_owned(),
            (_, None, _) if self.way.ends_secret() => "the Secret's lease lives on".to_owned(),
            (_, _, Some(claim)) => format!("the status said {claim} of a lease that lived"),
            _ => return None,
        };
        Some(format!("{}: {complaint}", self.named()))
    }

    /// The times that exceed their bounds.
    pub(crate) fn lateness(&self) -> Option<String> {
        let (file, secret) = self.bounds();
        let is_late = self.file > Some(file) || self.secret > Some(secret);
        is_late.then(|| {
            format!(
                "{}: {:?} and {:?}, bounds {file:?} and {secret:?}",
                self.named(),
                self.file,
                self.secret
            )
        })
    }
}

pub(crate) fn print_head() {
    println!(
        "| How the run ends | Out of order | Who revokes | The agent's lease | Bound | The Secret's | Bound |"
    );
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: |");
}

pub(crate) fn print_rows(ends: &[End]) {
    for end in ends {
        let seconds = |time: Option<Duration>| {
            time.map_or("lives".to_owned(), |it| format!("{:.1}", it.as_secs_f64()))
        };
        let (file, secret) = end.bounds();
        let by = if end.by_agent { By::Agent } else { end.by() };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            end.way.words(),
            end.trouble.name(),
            by.words(),
            seconds(end.file),
            file.as_secs(),
            match end.secret {
                None if !end.way.ends_secret() => "kept".to_owned(),
                time => seconds(time),
            },
            secret.as_secs(),
        );
    }
}
