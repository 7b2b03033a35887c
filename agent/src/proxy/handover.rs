//! Kept answers on their way from one life to the next.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use planescape_agent_core::{Asked, Held, Moment};
use planescape_vault::wire::{Granted, granted};

use super::answer::Whole;
use super::cache::Kept;
use crate::clock;
use crate::persist::{milliseconds, time};
use planescape_agent_handover::{KeptAnswer, Plain};

/// The parts of an answer that the next life needs; `None` if its body is not text.
pub(super) fn pack(held: &Held<'_, Kept>, moment: Moment, wall: SystemTime) -> Option<KeptAnswer> {
    let Whole {
        status,
        headers,
        body,
    } = &held.answer.answer;
    let headers = headers.iter();
    Some(KeptAnswer {
        key: held.key,
        path: held.path.to_owned(),
        namespace: held.namespace.to_owned(),
        token: held.token.map(|token| Plain::new(token.expose())),
        ends_at: milliseconds(wall + held.ends_at.since(moment)),
        came_at: milliseconds(held.answer.at),
        status: status.as_u16(),
        headers: headers
            .map(|(name, value)| Some((name.as_str().to_owned(), Plain::new(value.to_str().ok()?))))
            .collect::<Option<_>>()?,
        body: Plain::new(std::str::from_utf8(body).ok()?),
    })
}

/// The request and the answer. The time of the request is set so that its lease, with the whole TTL, ends when it does.
/// `None` if the lease is over, or if no life has written this.
pub(super) fn unpack(answer: &KeptAnswer) -> Option<(Asked, Kept)> {
    let now = clock::now();
    let remaining = time(answer.ends_at).duration_since(now.wall).ok()?;
    let ttl = ttl(answer.body.as_str())?;
    let asked = Asked {
        key: answer.key,
        path: answer.path.clone(),
        namespace: answer.namespace.clone(),
        token: answer.token.as_ref().map(Plain::to_secret),
        sent: now.moment.before(ttl.saturating_sub(remaining)),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_str(value.as_str()).ok()?);
    }
    let whole = Whole {
        status: StatusCode::from_u16(answer.status).ok()?,
        headers,
        body: Bytes::copy_from_slice(answer.body.as_str().as_bytes()),
    };
    let kept = Kept {
        answer: whole,
        at: time(answer.came_at),
    };
    Some((asked, kept))
}

fn ttl(body: &str) -> Option<Duration> {
    let grant = match granted(body.as_bytes())? {
        Granted::Lease { grant, .. } => grant,
        Granted::Token { login, .. } => login.grant,
    };
    Some(grant.ttl())
}
