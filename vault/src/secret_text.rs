//! A text that must not be seen: a token, a password.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Zeroed when dropped; `Debug` says only that it is there; cannot be serialised.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretText(String);

impl SecretText {
    /// Takes ownership, so that no second copy stays behind.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// A token that HTTP can carry.
    #[must_use]
    pub fn token(text: String) -> Option<Self> {
        let token = Self(text);
        let is_token = !token.0.is_empty() && token.0.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then_some(token)
    }

    /// The text itself, for the one place that sends or writes it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_text() {
        let token = SecretText::new("hvs.abc".to_owned());

        assert!(!format!("{token:?}").contains("abc"));
    }
}
