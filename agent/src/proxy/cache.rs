//! The cache with its answers, and the renewal of the leases and tokens in them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use http::{HeaderMap, Method};
use planescape_agent_core::{
    Asked, Cache, Carried, Failure, Key, Moment, Renewal, RenewalOf, Revocation, Turns,
};
use planescape_vault::wire::{self, Granted};
use planescape_vault::{Grant, SecretText};
use planescape_vault_client::{Bearer, Client};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::answer::Whole;
use super::handover;
use crate::clock;
use planescape_agent_handover::KeptAnswer;

/// The longest sleep, even if nothing is due.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How many renewals are in flight at once, and one more for each engine that none of them asks.
const RENEWALS: usize = 16;

/// The renewals that are due, by the engine that has to answer.
type Due = BTreeMap<String, VecDeque<Renewal>>;

/// The engine that was asked, for what, its answer, and when it was asked.
type Renewed = (String, RenewalOf, Result<Grant, Failure>, Moment);

/// A kept answer, and when it came.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) answer: Whole,
    pub(super) at: SystemTime,
}

/// The kept answers, and the requests on their way.
pub(super) struct Caching {
    kept: Mutex<Cache<Kept>>,
    /// Requests on their way: equal ones wait for the first.
    asking: Mutex<BTreeMap<Key, watch::Receiver<()>>>,
    /// Answers of the last life that no token vouches for yet: their token may come back, or not.
    left: Mutex<Vec<KeptAnswer>>,
    /// When this life began: the answers of the last life were asked for before.
    began: Moment,
    changed: Notify,
    not_handed_on: Notify,
}

/// The turn of a request that is not on its way yet.
pub(super) struct Turn<'a> {
    caching: &'a Caching,
    key: Key,
    _done: watch::Sender<()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut asking = lock(&self.caching.asking);
        asking.remove(&self.key);
    }
}

impl Caching {
    pub(super) fn new(seed: u64, left: Vec<KeptAnswer>) -> Self {
        let caching = Self {
            kept: Mutex::new(Cache::new(seed)),
            asking: Mutex::new(BTreeMap::new()),
            left: Mutex::new(left),
            began: clock::now().moment,
            changed: Notify::new(),
            not_handed_on: Notify::new(),
        };
        caching.take_over();
        caching
    }

    pub(super) fn set_own(&self, token: SecretText, accessor: Option<String>) {
        lock(&self.kept).set_own(token, accessor);
        self.take_over();
        // No other token will come to vouch for the rest.
        lock(&self.left).clear();
        self.has_changed();
    }

    /// Keeps answers of the last life, if the agent would notice the end of the token that they hang on. Tokens come
    /// before their leases, even if they stand in another order.
    fn take_over(&self) {
        let mut left = lock(&self.left);
        loop {
            let before = left.len();
            left.retain(|answer| {
                let Some((mut asked, kept)) = handover::unpack(answer) else {
                    return false;
                };
                asked.sent = asked.sent.min(self.began);
                !self.keep(asked, kept)
            });
            if left.len() == before {
                return;
            }
        }
    }

    fn has_changed(&self) {
        self.changed.notify_one();
        self.not_handed_on.notify_one();
    }

    /// Waits until something has changed, and gives the answers that the next life is to keep.
    pub(super) async fn to_hand_on(&self) -> Vec<KeptAnswer> {
        self.not_handed_on.notified().await;
        self.packed()
    }

    /// The answers that the next life is to keep.
    pub(super) fn packed(&self) -> Vec<KeptAnswer> {
        let now = clock::now();
        let kept = lock(&self.kept);
        let packed = kept
            .held()
            .filter_map(|held| handover::pack(&held, now.moment, now.wall));
        packed.collect()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Kept> {
        let now = clock::now().moment;
        lock(&self.kept).get(key, now).cloned()
    }

    pub(super) fn revoke(&self, revocation: Revocation) {
        let now = clock::now().moment;
        lock(&self.kept).revoke(revocation, now);
        self.has_changed();
    }

    /// Keeps an answer, if it is one to keep.
    pub(super) fn put(&self, asked: Asked, answer: &Whole) {
        let kept = Kept {
            answer: answer.clone(),
            at: SystemTime::now(),
        };
        if self.keep(asked, kept) {
            self.has_changed();
        }
    }

    /// Keeps an answer with a lease or a token, and says whether it did.
    fn keep(&self, asked: Asked, kept: Kept) -> bool {
        let Some(granted) = wire::granted(&kept.answer.body) else {
            return false;
        };
        let carried = match granted {
            Granted::Lease { id, grant } => Carried::Lease { id, grant },
            Granted::Token { login, is_orphan } => Carried::Token {
                token: login.token,
                accessor: login.accessor,
                is_orphan,
                grant: login.grant,
            },
        };
        lock(&self.kept).put(asked, carried, kept, clock::now().moment)
    }

    /// A turn to ask. If an equal request is on its way, waits until it is over, and gives none.
    pub(super) async fn turn(&self, key: Key) -> Option<Turn<'_>> {
        let mut waiting = {
            let mut asking = lock(&self.asking);
            match asking.get(&key) {
                Some(waiting) => waiting.clone(),
                None => {
                    let (done, waiting) = watch::channel(());
                    asking.insert(key, waiting);
                    return Some(Turn {
                        caching: self,
                        key,
                        _done: done,
                    });
                }
            }
        };
        // The sender goes when the turn is over.
        let _ = waiting.changed().await;
        None
    }

    /// Renews leases and tokens when they are due. A slow renewal does not hold up the others.
    pub(super) async fn renew(&self, client: &Arc<Client>) {
        let mut due = Due::default();
        let mut turns = Turns::new(RENEWALS);
        let mut renewing = JoinSet::new();
        loop {
            let taken = lock(&self.kept).take_due(clock::now().moment);
            for renewal in taken {
                let engine = due.entry(renewal.engine.clone());
                engine.or_default().push_back(renewal);
            }
            while let Some(renewal) = next_due(&mut due, &turns) {
                turns.take(&renewal.engine);
                renewing.spawn(renew(Arc::clone(client), renewal));
            }
            let next = lock(&self.kept).timeout();
            let sleep = next.map_or(LONGEST_SLEEP, |next| next.since(clock::now().moment));
            tokio::select! {
                Some(done) = renewing.join_next() => {
                    let (engine, of, result, sent) = match done {
                        Ok(done) => done,
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    };
                    turns.give_back(&engine);
                    let answered = clock::now().moment;
                    lock(&self.kept).renewed(of, result, sent, answered);
                    self.not_handed_on.notify_one();
                }
                () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

/// The renewal whose turn it is.
fn next_due(due: &mut Due, turns: &Turns) -> Option<Renewal> {
    let waiting = due.iter().filter(|(_, renewals)| !renewals.is_empty());
    let engine = turns.next(waiting.map(|(engine, _)| (engine.as_str(), ())))?;
    let engine = engine.to_owned();
    due.get_mut(&engine)?.pop_front()
}

async fn renew(client: Arc<Client>, renewal: Renewal) -> Renewed {
    let sent = clock::now().moment;
    let namespace = Some(renewal.namespace.as_str());
    let bearer = Bearer {
        token: &renewal.token,
        namespace: namespace.filter(|namespace| *namespace != "root/"),
    };
    let result = match &renewal.lease {
        Some(id) => client.renew_lease(id, bearer, None).await,
        None => client.renew_self(bearer, None).await,
    };
    let result = result.map_err(Failure::Vault);
    (renewal.engine, renewal.of, result, sent)
}

/// Headers that say which server answers and how far behind it may be: the kept answer serves all the same.
const ABOUT_SERVERS: [&str; 3] = ["x-vault-forward", "x-vault-inconsistent", "x-vault-index"];

/// Two requests are the same if all that Vault looks at is the same. Names of programs and ids of
/// requests change nothing.
pub(super) fn key(
    method: &Method,
    path_and_query: &str,
    headers: &HeaderMap,
    token: Option<&SecretText>,
    body: &[u8],
) -> Key {
    let mut names: Vec<&str> = headers
        .keys()
        .map(http::HeaderName::as_str)
        // Vault takes a token from there, too.
        .filter(|name| name.starts_with("x-vault-") || *name == "authorization")
        .filter(|name| !matches!(*name, "x-vault-token" | "x-vault-request"))
        .filter(|name| !ABOUT_SERVERS.contains(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut digest = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    };
    add(method.as_str().as_bytes());
    add(path_and_query.as_bytes());
    add(token.map_or("", SecretText::expose).as_bytes());
    add(body);
    for name in names {
        for value in headers.get_all(name) {
            add(name.as_bytes());
            add(value.as_bytes());
        }
    }
    let mut key = [0; 32];
    key.copy_from_slice(digest.finish().as_ref());
    key
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// By its key, the lease of the child token comes before the token here.
    fn answered(caching: &Caching) {
        for (number, by, body) in [
            (
                9,
                "own",
                r#"{"auth": {"client_token": "child", "accessor": "a", "lease_duration": 60, "renewable": true}}"#,
            ),
            (
                1,
                "child",
                r#"{"lease_id": "db/1", "lease_duration": 60, "renewable": true, "data": {}}"#,
            ),
        ] {
            let asked = Asked {
                key: [number; 32],
                path: "/v1/x".to_owned(),
                namespace: "root/".to_owned(),
                token: Some(SecretText::new(by.to_owned())),
                sent: clock::now().moment,
            };
            let answer = Whole {
                status: http::StatusCode::OK,
                headers: HeaderMap::from_iter([(
                    http::header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                )]),
                body: bytes::Bytes::from_static(body.as_bytes()),
            };
            caching.put(asked, &answer);
        }
    }

    #[test]
    fn the_next_life_keeps_what_hangs_on_the_token_that_it_takes_over() {
        let own = |name: &str| SecretText::new(name.to_owned());
        let first = Caching::new(1, Vec::new());
        first.set_own(own("own"), None);
        answered(&first);

        let second = Caching::new(2, first.packed());
        assert!(second.get(&[1; 32]).is_none(), "nobody vouches for it yet");
        second.set_own(own("own"), None);
        let third = Caching::new(3, first.packed());
        third.set_own(own("another"), None);

        let kept = second.get(&[1; 32]).expect("it is kept on");
        assert!(kept.answer.body.starts_with(b"{\"lease_id\""));
        assert_eq!(kept.answer.headers.len(), 1);
        assert!(second.get(&[9; 32]).is_some());
        assert!(third.get(&[1; 32]).is_none() && third.get(&[9; 32]).is_none());
        assert!(third.packed().is_empty());
    }

    #[test]
    fn what_has_ended_meanwhile_is_not_kept_on() {
        let first = Caching::new(1, Vec::new());
        first.set_own(SecretText::new("own".to_owned()), None);
        answered(&first);
        let mut packed = first.packed();
        for answer in &mut packed {
            answer.ends_at = crate::persist::milliseconds(SystemTime::now()) - 1;
        }

        let second = Caching::new(2, packed);
        second.set_own(SecretText::new("own".to_owned()), None);

        assert!(second.packed().is_empty());
    }

    #[test]
    fn what_is_revoked_before_the_login_is_not_kept_on_however_long_it_was_renewed() {
        let own = || SecretText::new("own".to_owned());
        let first = Caching::new(1, Vec::new());
        first.set_own(own(), None);
        answered(&first);
        let mut packed = first.packed();
        for answer in &mut packed {
            answer.ends_at += 3_600_000;
        }

        let second = Caching::new(2, packed);
        second.revoke(Revocation::Lease("db/1".to_owned()));
        second.set_own(own(), None);

        assert!(second.get(&[1; 32]).is_none());
        assert!(second.get(&[9; 32]).is_some());
    }

    #[test]
    fn requests_differ_by_what_vault_looks_at_and_by_nothing_else() {
        let token = SecretText::new("t".to_owned());
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            key(&Method::GET, "/v1/a", &headers, Some(&token), b"")
        };
        let plain = key(&Method::GET, "/v1/a", &HeaderMap::new(), Some(&token), b"");

        assert_eq!(with("user-agent", "curl"), plain);
        assert_eq!(with("x-request-id", "17"), plain);
        assert_eq!(with("x-vault-index", "v1:x"), plain);
        assert_ne!(with("x-vault-namespace", "team"), plain);
        assert_ne!(with("authorization", "Bearer another"), plain);
        assert_ne!(with("x-vault-wrap-ttl", "5m"), plain);
        for (method, path, token, body) in [
            (Method::PUT, "/v1/a", Some(&token), &b""[..]),
            (Method::GET, "/v1/b", Some(&token), b""),
            (Method::GET, "/v1/a", None, b""),
            (Method::GET, "/v1/a", Some(&token), b"x"),
        ] {
            assert_ne!(key(&method, path, &HeaderMap::new(), token, body), plain);
        }
    }
}
