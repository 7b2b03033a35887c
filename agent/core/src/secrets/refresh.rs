//! When a secret that cannot be renewed is read again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use planescape_agent_contract::{Share, TemplateConfig};
use planescape_templates::{Answer, Certificate, Request};
use planescape_vault::{Grant, Secret};

use super::entry::{Activity, Hold, is_held};
use super::{Lane, Secrets};
use crate::clock::{Moment, Now};
use crate::dice::Dice;
use crate::token::Ticket;

/// No sooner than this, so that no answer can make us spin.
const SHORTEST: Duration = Duration::from_secs(1);

/// How long the read after a rotation may take before the file's password is called old.
const FRESH_PASSWORD: Duration = Duration::from_secs(4);

/// The configured intervals and share of a lease.
#[derive(Debug)]
pub(super) struct Refresh {
    interval: Duration,
    /// The longest life that is believed of a secret without a lease.
    of_kv_v1: Option<Duration>,
    threshold: Share,
}

impl Refresh {
    pub(super) fn new(config: &TemplateConfig) -> Self {
        Self {
            interval: config.static_secret_render_interval,
            of_kv_v1: config.kv_v1_render_interval,
            threshold: config.lease_renewal_threshold,
        }
    }

    /// How long this answer is good for. Lists are read again at each interval; secrets near
    /// the end of their lease, certificate, secret id or rotation, else at each interval too.
    pub(super) fn wait(&self, answer: &Answer, dice: &mut Dice, wall: SystemTime) -> Duration {
        let secret = match answer {
            Answer::Secret(Some(secret)) => secret,
            Answer::Pki(certificate) => {
                let good = self.good_for(certificate, wall);
                let good = good.or_else(|| self.rest_of(certificate, wall));
                return good.unwrap_or(self.interval).max(SHORTEST);
            }
            Answer::Secret(None) | Answer::List(_) | Answer::File(_) => return self.interval,
        };
        if let Some(rotation) = rotation(secret) {
            return rotation;
        }
        let life = certificate(secret, wall)
            .or_else(|| secret_id(secret))
            .or_else(|| self.said_life(secret))
            .unwrap_or(self.interval);
        self.share_of(life, dice).max(SHORTEST)
    }

    /// The life that an answer names. Without a lease nothing ends with it.
    fn said_life(&self, secret: &Secret) -> Option<Duration> {
        let said = Some(secret.lease_duration()).filter(|life| !life.is_zero())?;
        let limit = self.of_kv_v1.filter(|_| !is_held(secret));
        Some(limit.map_or(said, |limit| said.min(limit)))
    }

    /// The shortest interval that is shorter than it was.
    fn shorter_than(&self, before: &Self) -> Option<Duration> {
        let interval = (self.interval < before.interval).then_some(self.interval);
        let is_shorter = |new: &Duration| before.of_kv_v1.is_none_or(|old| *new < old);
        let of_kv_v1 = self.of_kv_v1.filter(is_shorter);
        interval.into_iter().chain(of_kv_v1).min()
    }

    /// How long a certificate stays in use, if it is still good.
    pub(super) fn good_for(&self, certificate: &Certificate, wall: SystemTime) -> Option<Duration> {
        let (from, to) = certificate.validity?;
        let life = to.duration_since(from).ok()?;
        let rotates_at = from.checked_add(self.threshold.of(life))?;
        let good = rotates_at.duration_since(wall).ok()?;
        (!good.is_zero()).then_some(good)
    }

    /// The same of a certificate that was hardly good when it came, because its life began long before. It is replaced
    /// before it ends, too; one that had ended already says nothing of the next one.
    fn rest_of(&self, certificate: &Certificate, wall: SystemTime) -> Option<Duration> {
        let (_, to) = certificate.validity?;
        let left = to.duration_since(wall).ok()?;
        (!left.is_zero()).then(|| self.threshold.of(left).min(self.interval))
    }

    fn share_of(&self, life: Duration, dice: &mut Dice) -> Duration {
        match self.threshold.around(0.05) {
            Some((low, high)) => dice.scale(life, low, high),
            None => self.threshold.of(life),
        }
    }
}

impl Secrets {
    /// How often a secret without a life of its own is read again.
    pub(crate) fn interval(&self) -> Duration {
        self.refresh.interval
    }

    /// There are new settings. A shorter interval does not wait for the end of the longer one.
    pub(crate) fn reconfigure(&mut self, config: &TemplateConfig, now: Moment) {
        let before = std::mem::replace(&mut self.refresh, Refresh::new(config));
        let limit = config.max_connections.get();
        self.reads.set_limit(limit);
        self.renewals.set_limit(limit);
        self.made.set_limit(limit);
        if let Some(shorter) = self.refresh.shorter_than(&before) {
            let requests: Vec<Request> = self.ids.keys().cloned().collect();
            for request in &requests {
                self.ask_again(request, now + shorter);
            }
        }
    }

    /// Its answer fits no text: it is asked for again, unless that would make something new in Vault.
    pub(crate) fn ask_again(&mut self, request: &Request, at: Moment) {
        if !matches!(request, Request::Read { .. } | Request::List { .. }) {
            return;
        }
        let Some(&id) = self.ids.get(request) else {
            return;
        };
        let is_later = self.entries.get(&id).is_some_and(|entry| {
            matches!(entry.hold, Hold::Nothing)
                && matches!(entry.activity, Activity::Due { at: due, lane: Lane::Read } if due > at)
        });
        if is_later {
            self.schedule(id, at, Lane::Read);
        }
    }
}

/// When the secret in an answer stops working: its lease, token or certificate ends, or its password was rotated and
/// the new one should have been read by now.
pub(super) fn ends_at(answer: &Answer, ticket: Ticket, now: Now) -> Option<Moment> {
    let secret = match answer {
        Answer::Pki(certificate) => return certificate_ends_at(certificate, now),
        Answer::Secret(secret) => secret.as_ref()?,
        Answer::List(_) | Answer::File(_) => return None,
    };
    if !is_held(secret) {
        let rotated = rotation(secret).map(|wait| wait + FRESH_PASSWORD);
        let left = rotated.or_else(|| certificate(secret, now.wall))?;
        return Some(now.moment + left);
    }
    let ttl = Grant::new(secret.lease_duration(), true).ttl();
    (!ttl.is_zero()).then(|| ticket.sent + ttl)
}

/// The same of a certificate alone.
pub(super) fn certificate_ends_at(certificate: &Certificate, now: Now) -> Option<Moment> {
    let (_, end) = certificate.validity?;
    Some(now.moment + end.duration_since(now.wall).ok()?)
}

/// Static roles: a second after Vault rotates the password.
fn rotation(secret: &Secret) -> Option<Duration> {
    let rotates = secret.has_field("rotation_period") || secret.has_field("rotation_schedule");
    if !rotates || !secret.lease_id().is_empty() {
        return None;
    }
    Some(seconds(secret.number_field("ttl")?)? + Duration::from_secs(1))
}

fn certificate(secret: &Secret, wall: SystemTime) -> Option<Duration> {
    if !secret.has_field("certificate") || !secret.lease_id().is_empty() {
        return None;
    }
    let expires = UNIX_EPOCH.checked_add(seconds(secret.number_field("expiration")?)?)?;
    expires.duration_since(wall).ok()
}

fn secret_id(secret: &Secret) -> Option<Duration> {
    if !secret.has_field("secret_id") || !secret.lease_id().is_empty() {
        return None;
    }
    let ttl = seconds(secret.number_field("secret_id_ttl")?)?;
    (!ttl.is_zero()).then(|| ttl + Duration::from_secs(1))
}

fn seconds(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenId;

    /// Answers, within what time each is read again, and when it stops working; in seconds.
    const CASES: [(&str, (u64, u64), Option<u64>); 15] = [
        (r#"{"data":{"a":"b"}}"#, (255, 285), None),
        (r#"{"data":{"ttl":30}}"#, (255, 285), None),
        (
            r#"{"data":{"ttl":100,"rotation_period":3600}}"#,
            (101, 101),
            Some(105),
        ),
        (
            r#"{"data":{"ttl":100,"rotation_schedule":"0 0 * * *"}}"#,
            (101, 101),
            Some(105),
        ),
        (
            r#"{"lease_id":"l","lease_duration":60,"data":{"ttl":100,"rotation_period":3600}}"#,
            (51, 57),
            Some(59),
        ),
        (
            r#"{"data":{"certificate":"c","expiration":1800000100}}"#,
            (85, 95),
            Some(100),
        ),
        (
            r#"{"data":{"certificate":"c","expiration":1799999999}}"#,
            (255, 285),
            None,
        ),
        (r#"{"data":{"expiration":1800000100}}"#, (255, 285), None),
        (
            r#"{"lease_id":"l","lease_duration":60,"data":{"certificate":"c","expiration":1800000100}}"#,
            (51, 57),
            Some(59),
        ),
        (
            r#"{"data":{"secret_id":"s","secret_id_ttl":99}}"#,
            (85, 95),
            None,
        ),
        (
            r#"{"data":{"secret_id":"s","secret_id_ttl":0}}"#,
            (255, 285),
            None,
        ),
        (r#"{"data":{"secret_id_ttl":99}}"#, (255, 285), None),
        (
            r#"{"lease_id":"l","lease_duration":60,"data":{"secret_id":"s","secret_id_ttl":99}}"#,
            (51, 57),
            Some(59),
        ),
        (
            r#"{"lease_id":"l","lease_duration":1,"data":{}}"#,
            (1, 1),
            Some(0),
        ),
        (
            r#"{"lease_id":"l","lease_duration":0,"data":{}}"#,
            (255, 285),
            None,
        ),
    ];

    #[test]
    fn each_answer_is_read_again_before_or_just_after_it_stops_working() {
        for (body, (earliest, latest), end) in CASES {
            let answer = Answer::Secret(Some(Secret::from_json(body.as_bytes()).unwrap()));
            // It was asked for a second ago.
            let ticket = Ticket {
                token: TokenId(1),
                sent: now().moment.before(Duration::from_secs(1)),
            };

            let wait = refresh().wait(&answer, &mut Dice::new(1), now().wall);
            let ends = ends_at(&answer, ticket, now());

            let within = Duration::from_secs(earliest)..=Duration::from_secs(latest);
            assert!(within.contains(&wait), "{wait:?}: {body}");
            let end = end.map(|seconds| now().moment + Duration::from_secs(seconds));
            assert_eq!(ends, end, "{body}");
        }
    }

    #[test]
    fn a_certificate_is_kept_for_the_configured_share_of_its_validity_and_not_to_the_last_moment() {
        for (from, to, good, otherwise) in [
            (0, 100, Some(90), 0),
            (80, 20, Some(10), 0),
            (89, 11, Some(1), 0),
            // The share is of the rest of its life.
            (90, 10, None, 9),
            (100, 1, None, 1),
            (100_000, 1000, None, 300),
            (200, 0, None, 300),
        ] {
            let lasting = Duration::from_secs;
            let wall = now().wall;
            let certificate = Certificate {
                validity: Some((wall - lasting(from), wall + lasting(to))),
                ..Certificate::default()
            };
            let answer = Answer::Pki(certificate.clone());

            let kept = refresh().good_for(&certificate, wall);
            let wait = refresh().wait(&answer, &mut Dice::new(1), wall);

            assert_eq!(kept, good.map(Duration::from_secs), "{from} {to}");
            assert_eq!(wait, kept.unwrap_or(lasting(otherwise)), "{from} {to}");
            let end = now().moment + lasting(to);
            assert_eq!(certificate_ends_at(&certificate, now()), Some(end));
        }
        let unknown = Certificate::default();
        assert_eq!(refresh().good_for(&unknown, now().wall), None);
    }

    #[test]
    fn a_secret_without_a_lease_that_says_its_life_is_read_again_at_an_interval_of_its_own() {
        let leased = r#"{"lease_id":"l","lease_duration":2764800,"data":{}}"#;
        let of_kv_v1 = r#"{"lease_duration":2764800,"data":{"a":"b"}}"#;
        let with_a_short_ttl = r#"{"lease_duration":60,"data":{"ttl":"1m"}}"#;
        for (body, interval, (earliest, latest)) in [
            (of_kv_v1, None, (2_350_080, 2_626_560)),
            (of_kv_v1, Some(600), (510, 570)),
            (with_a_short_ttl, Some(600), (51, 57)),
            (leased, Some(600), (2_350_080, 2_626_560)),
        ] {
            let refresh = Refresh {
                of_kv_v1: interval.map(Duration::from_secs),
                ..refresh()
            };
            let answer = Answer::Secret(Some(Secret::from_json(body.as_bytes()).unwrap()));

            let wait = refresh.wait(&answer, &mut Dice::new(1), now().wall);

            let within = Duration::from_secs(earliest)..=Duration::from_secs(latest);
            assert!(within.contains(&wait), "{wait:?}: {body}");
        }
    }

    #[test]
    fn only_what_is_shorter_than_before_is_read_sooner() {
        let with = |interval, of_kv_v1: Option<u64>| Refresh {
            interval: Duration::from_secs(interval),
            of_kv_v1: of_kv_v1.map(Duration::from_secs),
            ..refresh()
        };
        for (before, after, shorter) in [
            ((300, None), (300, None), None),
            ((300, None), (60, None), Some(60)),
            ((300, None), (600, None), None),
            ((300, None), (300, Some(900)), Some(900)),
            ((300, Some(900)), (300, Some(900)), None),
            ((300, Some(900)), (300, None), None),
            ((300, Some(900)), (60, Some(600)), Some(60)),
        ] {
            let before = with(before.0, before.1);

            let found = with(after.0, after.1).shorter_than(&before);

            assert_eq!(found, shorter.map(Duration::from_secs));
        }
    }

    fn refresh() -> Refresh {
        Refresh {
            interval: Duration::from_secs(300),
            of_kv_v1: None,
            threshold: Share::DEFAULT,
        }
    }

    fn now() -> Now {
        Now {
            moment: Moment::since_boot(Duration::from_secs(1000)),
            wall: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        }
    }
}
