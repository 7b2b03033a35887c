//! Explains a PlanescapeJob before it is applied: its Job, the requests to Vault, the next runs, and oddities.

mod odd;
mod policy;
mod requests;
mod text;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::annotations::{self, Injection, Mode};
use crate::api::PlanescapeJob;
use crate::api::names::KUEUE_LABEL;
use crate::defaults::Defaults;
use crate::inject;
use crate::job::validate::{Material, ValidatedJob, most_delay};
use crate::manifest::{self, Manifest};
use crate::problem::Problem;
use crate::run::{self, Occasion};
use crate::schedule::{Schedule, zone};
pub use requests::{Access, VaultRequest};

/// So many runs to come are named.
const RUNS: usize = 10;

/// The explanation of a PlanescapeJob.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The Job of the next run, with the agent in its pod template.
    pub job: Value,
    /// The agent's configuration, which its container has in `VAULT_CONFIG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_configuration: Option<Value>,
    /// The requests that Vault gets, by their sender.
    pub vault: Vec<Access>,
    /// The runs to come.
    pub next_runs: Vec<NextRun>,
    /// The end of an agent's token that is not revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_guard: Option<Guard>,
    /// Oddities that may not be meant.
    pub warnings: Vec<String>,
}

/// A run to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextRun {
    /// In RFC 3339, with the offset of the schedule's zone.
    pub time: String,
    /// The zone's name.
    pub zone: String,
    /// Whether a window keeps it from starting.
    pub excluded: bool,
}

/// The end of an agent's token that is not revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// In seconds from the agent's last renewal; none where only the token's TTL ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// The guarantee, in a sentence.
    pub meaning: &'static str,
    /// For which of Vault's roles it has no effect.
    pub no_effect: &'static [&'static str],
}

/// Explains a manifest, with the additions of the API server.
///
/// # Errors
/// Everything that keeps it from running, each with its field.
pub fn explain(
    manifest: &Value,
    defaults: &Defaults,
    now: Timestamp,
) -> Result<Explanation, Vec<Problem>> {
    let Manifest {
        job,
        validated,
        material,
        mut warnings,
    } = Manifest::read(manifest, defaults, now)?;
    let knows_delay = manifest["metadata"]["uid"].is_string();
    let next_runs = next_runs(&validated, knows_delay, now);
    let tick = first(&validated, now).unwrap_or(now);
    let injection = material.injection.as_ref();
    let mut vault = Vec::new();
    vault.extend(injection.map(|it| requests::of_agent(it, &mut warnings)));
    let order = material.order.as_ref();
    vault.extend(order.map(|order| requests::of_order(order, &mut warnings)));
    warn(&job, &validated, &material, &mut warnings);
    odd::warn(&job, &validated, now, &mut warnings);
    warn_of_jitter(&job, &validated, (knows_delay, defaults), &mut warnings);
    if next_runs.iter().all(|run| run.excluded) {
        let count = next_runs.len();
        warnings.push(format!(
            "spec.exclusionWindows: none of the next {count} runs starts, each lies in a window"
        ));
    }
    Ok(Explanation {
        name: validated.identity.name.clone(),
        namespace: validated.identity.namespace.clone(),
        job: run::build(&validated, &material, &Occasion::Tick(tick)),
        agent_configuration: injection.map(inject::configuration),
        vault,
        next_runs,
        lease_guard: injection.map(guard),
        warnings,
    })
}

/// Oddities of a manifest that cannot run, as far as it can be read.
pub fn warnings(manifest: &Value) -> Vec<String> {
    let (job, mut warnings) = manifest::readable(manifest);
    if let Some(job) = job {
        warnings.extend(annotations::unread(&job));
        odd::warn_of_pods(&job, &mut warnings);
    }
    warnings
}

/// When the first run starts; `@every` counts from the creation, which is taken for now.
fn first(validated: &ValidatedJob, now: Timestamp) -> Option<Timestamp> {
    validated.schedule.next(now, now)
}

/// A window counts when a run starts, which depends on the object's UID where runs are spread.
fn next_runs(validated: &ValidatedJob, knows_delay: bool, now: Timestamp) -> Vec<NextRun> {
    let delay = if knows_delay {
        validated.delay
    } else {
        SignedDuration::ZERO
    };
    let is_excluded = |tick: Timestamp| {
        let starts = tick.saturating_add(delay).unwrap_or(tick);
        let mut windows = validated.excluded.iter();
        windows.any(|window| window.contains(starts))
    };
    let zone = zone(&validated.zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let ticks = match validated.schedule {
        Schedule::Once => vec![now],
        Schedule::Every(_) | Schedule::Calendar(_) => {
            let next = |tick: &Timestamp| validated.schedule.next(now, *tick);
            let ticks = std::iter::successors(first(validated, now), next);
            ticks.take(RUNS).collect()
        }
    };
    let shown = ticks.into_iter().map(|tick| NextRun {
        time: tick
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string(),
        zone: validated.zone.clone(),
        excluded: is_excluded(tick),
    });
    shown.collect()
}

const NO_EFFECT: &[&str] = &[
    "token_period: the period ends the token",
    "token_type=batch: its TTL ends the token, which cannot be renewed or revoked",
    "token_num_uses: its TTL ends the token, because each renewal would take a use",
    "tokens that never expire: nothing ends them; set token_ttl",
];

fn guard(injection: &Injection) -> Guard {
    let is_sidecar = matches!(injection.mode, Mode::Sidecar { .. });
    if !is_sidecar || !injection.revokes_on_exit {
        return Guard {
            seconds: None,
            meaning: "nobody renews the token of an agent that has ended: it lives until its TTL ends, or is revoked",
            no_effect: &[],
        };
    }
    match injection.lease_guard {
        None => Guard {
            seconds: None,
            meaning: "off: the token of an agent that is lost with its node lives until its TTL ends",
            no_effect: &[],
        },
        Some(guard) => Guard {
            seconds: Some(guard.as_secs()),
            meaning: "Vault ends the agent's token, and every lease with it, that long after the agent's last renewal",
            no_effect: NO_EFFECT,
        },
    }
}

fn warn(
    job: &PlanescapeJob,
    validated: &ValidatedJob,
    material: &Material,
    warnings: &mut Vec<String>,
) {
    warnings.extend(annotations::unread(job));
    let spec = &job.spec;
    let mut warn = |warning: String| warnings.push(warning);
    if spec.suspend {
        warn("spec.suspend: no run starts on schedule before it is false".to_owned());
    }
    let is_calendar = matches!(validated.schedule, Schedule::Calendar(_));
    if is_calendar && spec.time_zone.is_none() {
        warn("spec.timeZone: the schedule follows UTC, as it names no zone".to_owned());
    }
    if matches!(validated.schedule, Schedule::Every(_)) {
        warn("spec.schedule: @every counts from the creation of the PlanescapeJob; the runs above take it for created now".to_owned());
    }
    let queue = &spec.job_template["metadata"]["labels"][KUEUE_LABEL];
    let queue = queue.as_str().filter(|queue| !queue.is_empty());
    if let (Some(_), Some(queue)) = (&material.order, queue) {
        warn(format!(
            "spec.jobTemplate.metadata.labels[{KUEUE_LABEL}]: a run gets its Secrets before it stands in the queue {queue}, and their leases live while it waits there; Vault's roles have to let them live that long"
        ));
    }
    if let Some(injection) = &material.injection {
        if injection.server.tls_skip_verify {
            warn("the agent trusts any certificate (tls-skip-verify): whoever answers for Vault gets the pod's token".to_owned());
        }
        if injection.server.address.starts_with("http://") {
            warn(format!(
                "{}: the pod's token and the secrets travel in the clear",
                injection.server.address
            ));
        }
    }
}

/// How long after its instant each run starts, as far as that can be said without the cluster.
fn warn_of_jitter(
    job: &PlanescapeJob,
    validated: &ValidatedJob,
    (knows_delay, defaults): (bool, &Defaults),
    warnings: &mut Vec<String>,
) {
    let asks_vault = validated.agent.is_some() || validated.has_secrets;
    let most = most_delay(&job.spec, defaults, asks_vault);
    if most == 0 {
        return;
    }
    let setting = match job.spec.jitter_seconds {
        Some(_) => "spec.jitterSeconds",
        None => "--vault-jitter-seconds of the operator",
    };
    warnings.push(if knows_delay {
        let delay = validated.delay.as_secs();
        format!("{setting}: each run starts {delay} s after the time above")
    } else {
        format!("{setting}: each run starts up to {most} s after the time above, always as long, which depends on the object's UID")
    });
}

#[cfg(test)]
mod tests;
