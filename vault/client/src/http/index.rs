//! How far a standby has to be before it answers reads.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

pub(super) const INDEX: HeaderName = HeaderName::from_static("x-vault-index");

/// The moment at which the latest login's token was made, in Vault's words. A standby that answers reads by itself
/// hears of the token a little later, and calls it invalid until then, unless a read names that moment.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<Vec<HeaderValue>>);

impl Index {
    /// A Vault without such standbys says nothing.
    pub(super) fn of_login(&self, answer: &HeaderMap) {
        *self.lock() = answer.get_all(INDEX).iter().cloned().collect();
    }

    pub(super) fn values(&self) -> Vec<HeaderValue> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<HeaderValue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_login_counts() {
        let index = Index::default();
        let cases: [&[&str]; 3] = [&["v1:a:1:0:s", "v1:b:2:0:s"], &["v1:a:3:0:s"], &[]];
        for values in cases {
            let mut answer = HeaderMap::new();
            for &value in values {
                answer.append(INDEX, HeaderValue::from_static(value));
            }

            index.of_login(&answer);

            assert_eq!(index.values(), values);
        }
    }
}
