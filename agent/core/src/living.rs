//! Tokens that may live, and are to be revoked at the end.

use std::time::Duration;

use planescape_vault::{Grant, Login, SecretText};

use crate::clock::Moment;
use crate::failure::Failure;
use crate::lease::gone_by;
use crate::token::{Token, TokenId};

/// How many tokens whose time is over are tried at the end all the same: somebody else may have extended them.
const OVER: usize = 8;

/// A token that an earlier life of this agent left in the ledger.
#[derive(Clone, Debug)]
pub struct LeftToken {
    /// The token.
    pub secret: SecretText,
    /// Its accessor; may be empty.
    pub accessor: String,
    /// Its namespace, if the path of the template that made it names one.
    pub namespace: Option<String>,
    /// How long it may live on when this life starts; `None`: for ever, or not known.
    pub lasts: Option<Duration>,
    /// Whether it stands in the ledger.
    pub is_written: bool,
}

/// The leases of the tokens that earlier lives have left, as the last of them has named them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftLeases {
    /// Their ids.
    pub ids: Vec<String>,
    /// How many more there may be.
    pub more: usize,
}

/// A token that may live, to be revoked at the end.
#[derive(Clone, Debug)]
pub(crate) struct Living {
    pub(crate) token: Token,
    pub(crate) accessor: String,
    /// When Vault has forgotten it by itself; `None`: never, or not known.
    gone_by: Option<Moment>,
    /// The TTL that Vault has granted last; `None`: no end, or not known.
    granted: Option<Duration>,
    /// A renewal is on its way.
    is_asked: bool,
    /// Vault may have granted one whose answer was lost.
    is_unsure: bool,
}

impl Living {
    pub(crate) fn new(token: Token, accessor: String, gone_by: Option<Moment>) -> Self {
        Self {
            token,
            accessor,
            gone_by,
            granted: None,
            is_asked: false,
            is_unsure: false,
        }
    }

    /// A token that an earlier life has left.
    pub(crate) fn of_earlier_life(left: LeftToken, id: TokenId, now: Moment) -> Self {
        let LeftToken {
            secret,
            accessor,
            namespace,
            lasts,
            is_written: _,
        } = left;
        let token = Token {
            id,
            secret,
            namespace,
        };
        Self::new(token, accessor, lasts.map(|lasts| now + lasts))
    }

    /// A token that comes too late to be used.
    pub(crate) fn of_login(login: Login, id: TokenId, now: Moment) -> Self {
        let token = Token {
            id,
            secret: login.token,
            namespace: None,
        };
        let mut living = Self::new(token, login.accessor, None);
        living.extended(login.grant, now);
        living
    }

    /// Vault has granted it another life.
    pub(crate) fn extended(&mut self, grant: Grant, now: Moment) {
        self.granted = Some(grant.ttl()).filter(|ttl| !ttl.is_zero());
        self.gone_by = self.granted.map(|_| gone_by(grant, now));
        self.is_asked = false;
        self.is_unsure = false;
    }

    /// A renewal is on its way: until its answer is heard, nobody knows when the token ends.
    pub(crate) fn renewal_asked(&mut self) {
        self.is_asked = true;
    }

    /// A renewal failed, or its answer was lost.
    pub(crate) fn renewal_failed(&mut self, failure: &Failure) {
        self.is_asked = false;
        self.is_unsure |= failure.may_be_done();
    }

    /// How long it may outlive the agent that renews it: the last renewal may come just before the agent's end.
    pub(crate) fn granted(&self) -> Option<Duration> {
        self.granted
    }

    /// When Vault has forgotten it by itself, if that is known.
    pub(crate) fn gone_by(&self) -> Option<Moment> {
        self.gone_by.filter(|_| !self.is_asked && !self.is_unsure)
    }

    pub(crate) fn is_gone(&self, now: Moment) -> bool {
        self.gone_by().is_some_and(|gone| gone <= now)
    }

    /// How long it may live on; `None` where that is not known.
    pub(crate) fn left(&self, now: Moment) -> Option<Duration> {
        Some(self.gone_by()?.since(now))
    }
}

/// Takes out the tokens that have been over for longest, where there are many: one life may need thousands.
pub(crate) fn leave_out(tokens: &mut Vec<Living>, now: Moment) -> Vec<SecretText> {
    let over = tokens.iter().filter(|living| living.is_gone(now));
    let mut surplus = over.count().saturating_sub(OVER);
    let left_out = tokens.extract_if(.., |living| {
        let goes = surplus > 0 && living.is_gone(now);
        surplus -= usize::from(goes);
        goes
    });
    left_out.map(|living| living.token.secret).collect()
}

/// The longest of several lives; `None` where there is none, or one of them is not known.
pub(crate) fn longest(lives: impl IntoIterator<Item = Option<Duration>>) -> Option<Duration> {
    let lives: Option<Vec<Duration>> = lives.into_iter().collect();
    lives?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use planescape_vault::{Error, Refusal};

    use super::*;

    #[test]
    fn of_many_tokens_whose_time_is_over_the_latest_are_kept_and_all_others() {
        let now = Moment::since_boot(Duration::from_secs(1000));
        let mut tokens: Vec<Living> = (0..20).map(|number| of(60, number, now)).collect();
        tokens.push(of(0, 20, now));
        tokens.push(of(3600, 21, now));

        assert!(leave_out(&mut tokens, now).is_empty());
        assert_eq!(tokens.len(), 22);
        let left_out = leave_out(&mut tokens, now + Duration::from_secs(66));

        let kept = tokens.iter().map(|living| living.token.id);
        assert!(kept.eq((12..22).map(TokenId)), "{tokens:?}");
        let left_out = left_out.iter().map(SecretText::expose);
        assert!(left_out.eq((0..12).map(|number| format!("t{number}"))));
    }

    #[test]
    fn a_token_whose_renewal_may_have_been_granted_is_not_over() {
        let now = Moment::since_boot(Duration::from_secs(1000));
        let later = now + Duration::from_secs(100);
        let refused = |status| Error::Refused(Refusal::new(status, String::new(), None));
        for (error, is_over) in [(refused(504), false), (refused(403), true)] {
            let mut brief = of(60, 1, now);
            assert!(brief.is_gone(later));
            brief.renewal_asked();
            assert!(!brief.is_gone(later), "its answer is on its way");

            brief.renewal_failed(&error.into());

            assert_eq!(brief.is_gone(later), is_over);
            assert_eq!(brief.left(later).is_some(), is_over);
            brief.extended(Grant::new(Duration::from_secs(60), true), later);
            assert!(brief.is_gone(later + Duration::from_secs(100)));
        }
    }

    #[test]
    fn a_token_ends_by_itself_unless_it_never_expires() {
        let now = Moment::since_boot(Duration::from_secs(1000));
        let of = |seconds| of(seconds, 1, now);

        let brief = of(60);
        assert_eq!(brief.granted(), Some(Duration::from_secs(60)));
        assert!(!brief.is_gone(now + Duration::from_secs(60)));
        assert!(brief.is_gone(now + Duration::from_secs(66)));
        let endless = of(0);
        assert_eq!((endless.left(now), endless.granted()), (None, None));
        assert!(!endless.is_gone(now + Duration::from_hours(1000)));
    }

    fn of(seconds: u64, number: u64, now: Moment) -> Living {
        let login = Login {
            accessor: "a".to_owned(),
            token: SecretText::new(format!("t{number}")),
            grant: Grant::new(Duration::from_secs(seconds), true),
            has_limited_uses: false,
            request: String::new(),
        };
        Living::of_login(login, TokenId(number), now)
    }
}
