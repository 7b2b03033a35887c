//! Tokens that tokens ask for.

use std::time::Duration;

use planescape_agent_core::{Failure, Moment};
use planescape_tests::chance::Chance;
use planescape_vault::{Auth, Grant};

use super::{Token, Vault, refused};

/// A request here makes a token that ends with no other one.
pub(crate) const ORPHANS: &str = "auth/token/create-orphan";

/// A request here brings a token that somebody else has made, and that lives for ever.
const RENEWALS: &str = "auth/token/renew";
const OF_OTHERS: &str = "hvs.of-others";

/// Whether a token that ends with no other one was made for the agent that asked.
pub(crate) fn is_of_us(auth: &Auth) -> bool {
    auth.is_orphan && auth.client_token.as_bytes() != OF_OTHERS.as_bytes()
}

impl Vault {
    /// The body of an answer with a token.
    pub(crate) fn make(
        &mut self,
        path: &str,
        by: &str,
        chance: &mut Chance,
        now: Moment,
    ) -> Result<String, Failure> {
        self.check(by, now)?;
        if path == RENEWALS {
            return Ok(answer(OF_OTHERS, "accessor-of-others", 60, (true, true)));
        }
        let is_orphan = path == ORPHANS;
        // Nobody can revoke or renew such a token.
        let is_batch = is_orphan && chance.once_in(8);
        let is_renewable = !is_batch && chance.below(4) > 0;
        let ttl = match self.is_brief {
            true => 5,
            false => chance.pick(&[5, 30, 600]),
        };
        let life = Duration::from_secs(ttl);
        self.issued += 1;
        let name = format!("hvs.{}", self.issued);
        let accessor = match is_batch {
            true => String::new(),
            false => format!("accessor-{}", self.issued),
        };
        let body = answer(&name, &accessor, ttl, (is_renewable, is_orphan));
        let token = Token {
            accessor,
            parent: (!is_orphan).then(|| by.to_owned()),
            maker: is_orphan.then(|| by.to_owned()),
            is_renewable,
            life,
            granted_at: now,
            ends_at: Some(now + life),
            max_at: now + life * 4,
            is_periodic: false,
            is_shortened: false,
        };
        self.tokens.insert(name, token);
        Ok(body)
    }

    /// A token asks for more of its own life.
    pub(crate) fn renew_made(&mut self, name: &str, now: Moment) -> Result<Grant, Failure> {
        if name == OF_OTHERS {
            return Ok(Grant::new(Duration::from_secs(60), true));
        }
        self.check(name, now)?;
        let token = self.tokens.get_mut(name).unwrap();
        if !token.is_renewable {
            return Err(refused(400, "lease is not renewable", None));
        }
        let left = token.max_at.since(now).min(token.life);
        token.granted_at = now;
        token.ends_at = Some(now + left);
        Ok(Grant::new(Duration::from_secs(left.as_secs()), true))
    }

    /// Whether a token lives, and would be granted all of its life again.
    pub(crate) fn would_renew(&self, name: &str, now: Moment) -> bool {
        let token = self.tokens.get(name).filter(|_| self.knows(name, now));
        token.is_some_and(|token| token.is_renewable && token.max_at.since(now) >= token.life)
    }

    /// When a token was granted its life for the last time, if that has ended and might have gone on: below this token, or
    /// below none.
    pub(crate) fn let_end(&self, name: &str, below: &str, now: Moment) -> Option<Moment> {
        let token = self.tokens.get(name)?;
        let end = token.ends_at.filter(|end| *end <= now)?;
        if token.parent.as_ref().is_some_and(|parent| parent != below) {
            return None;
        }
        (token.is_renewable && end < token.max_at).then_some(token.granted_at)
    }

    /// Tokens that live, end with no other one, and were asked for with one of these.
    pub(crate) fn made_by<'a>(
        &'a self,
        makers: &'a [String],
        now: Moment,
    ) -> impl Iterator<Item = &'a String> {
        let living = self.tokens.iter();
        living
            .filter(move |(name, token)| {
                let maker = token.maker.as_ref();
                maker.is_some_and(|maker| makers.contains(maker)) && self.knows(name, now)
            })
            .map(|(name, _)| name)
    }

    /// The agent that has asked for this token is gone, and has written it down nowhere.
    pub(crate) fn disown(&mut self, name: &str) {
        if let Some(token) = self.tokens.get_mut(name) {
            token.maker = None;
        }
    }
}

fn answer(name: &str, accessor: &str, ttl: u64, (is_renewable, is_orphan): (bool, bool)) -> String {
    format!(
        r#"{{"lease_id":"","renewable":false,"data":null,"auth":{{"client_token":"{name}","accessor":"{accessor}",
            "lease_duration":{ttl},"renewable":{is_renewable},"orphan":{is_orphan}}}}}"#
    )
}

#[test]
fn a_token_ends_with_the_one_above_it_and_an_orphan_does_not() {
    let mut vault = Vault::default();
    let mut chance = Chance::new(1);
    let now = Moment::since_boot(Duration::from_secs(1));
    let login = vault.log_in(&mut chance, now);
    let own = login.token.expose();
    let child = vault.make("auth/token/create", own, &mut chance, now);
    let orphan = vault.make(ORPHANS, own, &mut chance, now);
    assert!(child.unwrap().contains("hvs.2") && orphan.unwrap().contains("hvs.3"));

    vault.revoke(own);

    assert!(!vault.knows("hvs.2", now) && vault.knows("hvs.3", now));
    assert!(vault.made_by(&[own.to_owned()], now).eq(["hvs.3"]));
}
