//! The persistent cache: one life hands its token and its leases to the next life in a file.
//!
//! An init container and the sidecar after it need one login and one database user then, not two.

mod orphans;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use planescape_agent_contract::Persist;
use planescape_agent_core::LeftLeases;
use planescape_agent_handover::{Contents, Kept, KeptAnswer, Named, Plain, Random};
use planescape_vault::{Call, Grant, Secret, SecretText};
use zeroize::Zeroizing;

use crate::files::{self, Target};

/// The name is that of `vault agent`; the form of the file is another one.
const NAME: &str = "vault-agent-cache.db";

/// How long after its time a token is still taken to live: its question was on its way for a while, and clocks drift.
const MARGIN: u64 = 120_000;

/// The end of a token that has none, or an unknown one.
const ENDLESS: u64 = u64::MAX;

/// The state that the last life has left, and the file for the next life, if one is configured.
pub(crate) struct Persistent {
    file: Option<File>,
    /// The token of the last life, until it has proved good or bad.
    preloaded: Mutex<Option<SecretText>>,
}

struct File {
    path: PathBuf,
    /// The token of the ServiceAccount, from which the key is derived.
    token_file: PathBuf,
    /// Whether the file is also written, and not only read.
    is_written: bool,
    /// Whether tokens are to be revoked, those that others have replaced among them.
    revokes: bool,
    state: Mutex<State>,
    /// Why it could not be written the last time.
    trouble: Mutex<Option<String>>,
}

#[derive(Default)]
struct State {
    /// Secrets that the last life has leased, until they are asked for.
    leased: BTreeMap<Key, Kept>,
    /// The contents that the file is to have.
    kept: Contents,
    /// Whether all of it is revoked: the file goes, and nothing is kept any more.
    is_forgotten: bool,
}

/// Tells calls apart, and gives none of their parameters away.
pub(crate) type Key = String;

/// A secret that the last life has leased.
pub(crate) struct Leased {
    pub(crate) secret: Secret,
    /// How long ago it was asked for, as far as the rest of its lease says.
    pub(crate) age: Duration,
}

impl Persistent {
    /// Takes over the state that the last life has left.
    ///
    /// # Errors
    /// The file cannot be written. Or the file that is there cannot be read, and the
    /// configuration says that this ends the agent.
    pub(crate) fn open(
        persist: Option<&Persist>,
        sink: Option<&Path>,
        revokes: bool,
    ) -> anyhow::Result<Self> {
        let file = persist.map(|persist| File::open(persist, revokes));
        let (file, found) = match file.transpose()? {
            Some((file, found)) => (Some(file), found),
            None => (None, None),
        };
        Ok(Self {
            file,
            preloaded: Mutex::new(found.or_else(|| sink.and_then(sink_token))),
        })
    }

    /// The token of the last life, for the first login.
    pub(crate) fn preloaded(&self) -> Option<SecretText> {
        lock(&self.preloaded).clone()
    }

    /// The token of the last life, for the end, and the leases that it has named.
    pub(crate) fn handed(&self) -> Option<(SecretText, Option<LeftLeases>)> {
        let token = self.preloaded()?;
        let file = self.file.as_ref();
        let named = file.and_then(|file| lock(&file.state).kept.named.clone());
        let leases = named.map(|Named { leases, more }| LeftLeases { ids: leases, more });
        Some((token, leases))
    }

    /// The tokens of logins before that one.
    pub(crate) fn replaced(&self) -> Vec<SecretText> {
        let Some(file) = &self.file else {
            return Vec::new();
        };
        let state = lock(&file.state);
        state.kept.replaced.iter().map(Plain::to_secret).collect()
    }

    /// Whether earlier lives may have had other tokens than those that are handed on.
    pub(crate) fn is_doubtful(&self) -> bool {
        let file = self.file.as_ref();
        file.is_some_and(|file| lock(&file.state).kept.misses_tokens)
    }

    /// The token of the last life is used now.
    pub(crate) fn adopt(&self) {
        *lock(&self.preloaded) = None;
    }

    /// Vault knows neither the token nor its leases any more.
    pub(crate) fn drop_preloaded(&self) {
        *lock(&self.preloaded) = None;
        self.drop_leased();
    }

    fn drop_leased(&self) {
        if let Some(file) = &self.file {
            lock(&file.state).leased.clear();
        }
    }

    /// The key of a call in a namespace; `None` without a file, since no key is needed then.
    pub(crate) fn key_of(&self, call: &Call, namespace: Option<&str>) -> Option<Key> {
        let place = namespace.unwrap_or_default();
        self.file
            .as_ref()
            .map(|_| [place, key(call).as_str()].concat())
    }

    /// The secret that the last life has leased with this call: given once, and while it is good.
    pub(crate) fn take(&self, key: &Key, now: SystemTime) -> Option<Leased> {
        let kept = lock(&self.file.as_ref()?.state).leased.remove(key)?;
        leased(&kept, now)
    }

    /// Whether answers have to be kept.
    pub(crate) fn is_written(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_written)
    }

    /// A new token: leases of another token end with that token, and are of no use to this life or the next one.
    /// This function and those below change memory alone, and say whether the file is to follow.
    pub(crate) fn keep_token(&self, token: &SecretText) -> bool {
        self.drop_leased();
        let revokes = self.file.as_ref().is_some_and(|file| file.revokes);
        self.change(|state| {
            let before = std::mem::take(&mut state.kept);
            let mut replaced = before.replaced;
            replaced.extend(before.token.filter(|_| revokes));
            replaced.retain(|it| it.as_str() != token.expose());
            state.kept = Contents {
                token: Some(Plain::new(token.expose())),
                replaced,
                orphans: before.orphans,
                misses_tokens: before.misses_tokens,
                ..Contents::default()
            };
            true
        })
    }

    /// Leaves out tokens that have long ended: it is no use to hand them on.
    pub(crate) fn forget(&self, tokens: &[SecretText]) -> bool {
        self.change(|state| {
            let replaced = &mut state.kept.replaced;
            let before = replaced.len();
            replaced.retain(|it| !tokens.iter().any(|gone| gone.expose() == it.as_str()));
            replaced.len() < before
        })
    }

    /// An answer, and when it was asked for: Vault may have counted from then on. As with `vault agent` the next life gets
    /// it if its lease, or the token that it carries, can be renewed. A replaced answer is not handed on.
    pub(crate) fn keep(
        &self,
        key: Key,
        secret: &Secret,
        body: Zeroizing<String>,
        asked_at: SystemTime,
    ) -> bool {
        let is_handed_on = secret.has_renewable_lease() || secret.is_renewable();
        let now = milliseconds(asked_at);
        self.change(|state| {
            let leased = &mut state.kept.leased;
            if !is_handed_on {
                return leased.remove(&key).is_some();
            }
            leased.retain(|_, it| it.granted_at.saturating_add(it.ttl) > now);
            let kept = Kept {
                lease_id: name(secret),
                body: body.into(),
                granted_at: now,
                ttl: whole(secret.lease_duration()),
            };
            leased.insert(key, kept);
            true
        })
    }

    /// A lease, or the token of an accessor, goes on from when that was asked for.
    pub(crate) fn renewed(&self, lease_id: &str, grant: Grant, asked_at: SystemTime) -> bool {
        self.change(|state| {
            let mut is_known = false;
            let now = milliseconds(asked_at);
            let mut orphans = state.kept.orphans.iter_mut();
            if let Some(orphan) = orphans.find(|it| it.accessor == lease_id) {
                orphan.ends_at = gone_by(grant, now);
                is_known = true;
            }
            let mut leased = state.kept.leased.values_mut();
            if let Some(kept) = leased.find(|kept| kept.lease_id == lease_id) {
                kept.granted_at = now;
                kept.ttl = whole(grant.ttl());
                is_known = true;
            }
            is_known
        })
    }

    /// Vault has revoked a lease: whoever took its answer would use what works no more, though the token lives on.
    pub(crate) fn lease_revoked(&self, lease_id: &str) -> bool {
        self.change(|state| leave_out(&mut state.kept, lease_id))
    }

    /// Vault has revoked a token that a template has made, or that another one has replaced.
    pub(crate) fn token_revoked(&self, token: &SecretText) -> bool {
        let is_replaced = self.forget(std::slice::from_ref(token));
        let is_orphan = self.change(|state| {
            let kept = &mut state.kept;
            let mut orphans = kept.orphans.iter();
            let Some(at) = orphans.position(|it| it.token.as_str() == token.expose()) else {
                return false;
            };
            let orphan = kept.orphans.remove(at);
            leave_out(kept, &orphan.accessor);
            true
        });
        is_replaced || is_orphan
    }

    /// The answers that listeners of the last life got from Vault.
    pub(crate) fn answers(&self) -> Vec<KeptAnswer> {
        let file = self.file.as_ref();
        file.map_or_else(Vec::new, |file| lock(&file.state).kept.answers.clone())
    }

    /// Replaces the kept answers of listeners. Without a token they are not kept: nothing could renew them.
    pub(crate) fn keep_answers(&self, answers: Vec<KeptAnswer>) -> bool {
        self.change(|state| {
            let is_change = !(answers.is_empty() && state.kept.answers.is_empty());
            let is_due = is_change && state.kept.token.is_some();
            if is_due {
                state.kept.answers = answers;
            }
            is_due
        })
    }

    /// The leases of all tokens, in place of those that were named before.
    pub(crate) fn name_leases(&self, leases: &[String], more: usize) -> bool {
        self.change(|state| {
            let leases = leases.to_vec();
            let named = Some(Named { leases, more });
            let is_due = state.kept.token.is_some() && state.kept.named != named;
            if is_due {
                state.kept.named = named;
            }
            is_due
        })
    }

    /// All tokens are revoked: nothing is kept any more.
    pub(crate) fn forget_all(&self) -> bool {
        self.file.as_ref().is_some_and(|file| {
            *lock(&file.state) = State {
                is_forgotten: true,
                ..State::default()
            };
            true
        })
    }

    fn change(&self, change: impl FnOnce(&mut State) -> bool) -> bool {
        let file = self.file.as_ref().filter(|file| file.is_written);
        file.is_some_and(|file| {
            let mut state = lock(&file.state);
            !state.is_forgotten && change(&mut state)
        })
    }

    /// Writes the present state into the file. To be called one at a time, so that no older state replaces a newer one.
    pub(crate) fn write_down(&self) {
        let Some(file) = &self.file else {
            return;
        };
        // The lock ends here, so that a disk that hangs does not hold up looks at the state.
        let contents = {
            let state = lock(&file.state);
            (!state.is_forgotten).then(|| state.kept.clone())
        };
        let Some(contents) = contents else {
            return file.remove();
        };
        let result = file.write(&contents);
        if result.is_err() {
            file.doubt();
        }
        let news = news(&mut lock(&file.trouble), result);
        if let Some(error) = news {
            tracing::error!(target: "agent.cache", path = %file.path.display(), error, "cannot write the persistent cache: the next life takes no more than a token from it");
        }
    }
}

impl File {
    /// The file, and the token of the last life.
    fn open(persist: &Persist, revokes: bool) -> anyhow::Result<(Self, Option<SecretText>)> {
        let mut file = Self {
            path: PathBuf::from(&persist.folder).join(NAME),
            token_file: persist.token_file.clone().into(),
            is_written: true,
            revokes,
            state: Mutex::default(),
            trouble: Mutex::default(),
        };
        files::check(&Target::private(file.path.clone()), &[])
            .with_context(|| format!("error creating persistent cache: {}", file.path.display()))?;
        // The last life could not write down all that it had to say.
        let is_doubted = files::is_doubted(&file.path);
        let contents = match file.read() {
            Ok(None) => missing(is_doubted),
            Ok(Some(contents)) => {
                let path = file.path.display();
                tracing::info!(target: "agent.cache", %path, "loaded memcache from persistent storage");
                file.is_written = persist.keeps_after_import;
                if is_doubted {
                    // Its leases may be replaced or revoked, and there may be other leases than those that it names.
                    Contents {
                        token: contents.token,
                        replaced: contents.replaced,
                        orphans: contents.orphans,
                        ..missing(true)
                    }
                } else {
                    contents
                }
            }
            Err(error) if persist.exits_on_error => {
                return Err(error.context("error restoring in-memory cache from persisted file"));
            }
            Err(error) => {
                file.is_written = persist.keeps_after_import;
                let error = format!("{error:#}");
                tracing::error!(target: "agent.cache", error, "error restoring in-memory cache from persisted file");
                missing(true)
            }
        };
        if !file.is_written {
            file.remove();
            // The mark is for the next life's word of what is revoked.
            if revokes && contents.misses_tokens {
                let _ = files::doubt(&file.path);
            }
        }
        let token = file.take_over(contents);
        Ok((file, token))
    }

    fn take_over(&self, contents: Contents) -> Option<SecretText> {
        let token = contents.token.as_ref().map(Plain::to_secret);
        *lock(&self.state) = State {
            leased: contents.leased.clone(),
            kept: contents,
            is_forgotten: false,
        };
        token
    }

    fn read(&self) -> anyhow::Result<Option<Contents>> {
        let bytes = match files::read(&self.path) {
            Ok(bytes) if bytes.is_empty() => {
                let path = self.path.display();
                tracing::warn!(target: "agent.cache", %path, "the persistent cache is empty, and is begun anew");
                return Ok(None);
            }
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(self.path.display().to_string()),
        };
        Contents::open(&bytes, &self.service_account()?)
            .with_context(|| self.path.display().to_string())
            .map(Some)
    }

    fn write(&self, contents: &Contents) -> anyhow::Result<()> {
        let mut random: Random = [0; _];
        rand::fill(&mut random)?;
        let bytes = contents.seal(&self.service_account()?, &random)?;
        files::write(&Target::private(self.path.clone()), &[], &bytes)?;
        Ok(())
    }

    /// The next life is not to believe the names in it, nor that there is no other token.
    fn doubt(&self) {
        if files::doubt(&self.path).is_err() {
            self.remove();
            // A file of another owner cannot be marked, but it can be removed.
            let _ = files::doubt(&self.path);
        }
    }

    fn remove(&self) {
        if let Err(error) = files::discard(&self.path) {
            let path = self.path.display();
            tracing::warn!(target: "agent.cache", %path, %error, "cannot remove the persistent cache");
        }
    }

    fn service_account(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let path = &self.token_file;
        let token = files::read(path).with_context(|| path.display().to_string())?;
        Ok(Zeroizing::new(token.trim_ascii().to_vec()))
    }
}

/// No token, and whether there may be some all the same. Each rewrite of the file says so to the next life.
fn missing(misses_tokens: bool) -> Contents {
    Contents {
        misses_tokens,
        ..Contents::default()
    }
}

/// The name that renewals give it: its lease, or the accessor of the token that it carries.
fn name(secret: &Secret) -> String {
    match (secret.lease_id(), secret.auth()) {
        ("", Some(auth)) => String::from_utf8_lossy(auth.accessor.as_bytes()).into_owned(),
        (id, _) => id.to_owned(),
    }
}

/// Leaves out the answer whose lease, or whose token's accessor, this is, and says whether there was one.
fn leave_out(kept: &mut Contents, lease_id: &str) -> bool {
    let before = kept.leased.len();
    kept.leased.retain(|_, it| it.lease_id != lease_id);
    kept.leased.len() < before
}

/// In milliseconds since 1970. A grant without a TTL never ends.
fn gone_by(grant: Grant, asked_at: u64) -> u64 {
    match whole(grant.ttl()) {
        0 => ENDLESS,
        ttl => asked_at.saturating_add(ttl).saturating_add(MARGIN),
    }
}

fn leased(kept: &Kept, now: SystemTime) -> Option<Leased> {
    let since = milliseconds(now).saturating_sub(kept.granted_at);
    let remaining = Duration::from_millis(kept.ttl.checked_sub(since)?);
    let secret = Secret::from_json(kept.body.as_str().as_bytes()).ok()?;
    let age = secret.lease_duration().saturating_sub(remaining);
    (!remaining.is_zero()).then_some(Leased { secret, age })
}

/// The token in a sink, if it holds one that HTTP can carry.
fn sink_token(path: &Path) -> Option<SecretText> {
    let bytes = files::read(path).ok()?;
    let text = std::str::from_utf8(bytes.trim_ascii()).ok()?;
    SecretText::token(text.to_owned())
}

/// The error of a write, unless the last one told the same: each renewal writes, and a disk may be full for days.
fn news(trouble: &mut Option<String>, result: anyhow::Result<()>) -> Option<String> {
    let now = result.err().map(|error| format!("{error:#}"));
    let is_new = *trouble != now;
    trouble.clone_from(&now);
    now.filter(|_| is_new)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key that tells this call from all others.
fn key(call: &Call) -> Key {
    let (path, query, parameters) = match call {
        Call::Get { path, query } => (path, query.as_deref(), &[][..]),
        Call::List { path } => (path, Some("list=true"), &[][..]),
        Call::Put {
            path, parameters, ..
        } => (path, None, &parameters[..]),
    };
    let is_wrapped = matches!(call, Call::Put { wrapped: true, .. });
    let mut parts = vec![path.as_str(), query.unwrap_or_default()];
    parts.push(if is_wrapped { "wrapped" } else { "" });
    for (name, value) in parameters {
        parts.extend([name.as_str(), value.expose()]);
    }
    let mut bytes = Zeroizing::new(Vec::new());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let digest = digest(&SHA256, &bytes);
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    whole(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The time so many milliseconds after the start of 1970.
pub(crate) fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}

fn whole(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
