//! The permission bits of a file.

use std::fmt;

/// Between `0o000` and `0o777`; shown in octal. Set-id and sticky bits may be written and have no effect, as in
/// `vault agent`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// The mode of a rendered file unless the configuration says otherwise.
    pub const RENDERED: Self = Self(0o644);
    /// The mode of a file that is the agent's alone.
    pub const PRIVATE: Self = Self(0o600);
    /// The mode of a token sink unless the configuration says otherwise.
    pub const SINK: Self = Self(0o640);

    /// `None` if bits beyond permission, set-id and sticky bits are set.
    #[must_use]
    pub fn from_bits(bits: u32) -> Option<Self> {
        (bits <= 0o7777).then_some(Self(bits & 0o777))
    }

    /// Reads an octal text, with or without a leading zero, as in `0400` or `400`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
            return None;
        }
        u32::from_str_radix(digits, 8)
            .ok()
            .and_then(Self::from_bits)
    }

    /// The mode without these bits.
    #[must_use]
    pub fn without(self, bits: u32) -> Self {
        Self(self.0 & !bits)
    }

    /// The bits, as `chmod` takes them.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_octal_with_and_without_a_leading_zero() {
        assert_eq!(FileMode::parse("0400"), FileMode::from_bits(0o400));
        assert_eq!(FileMode::parse("640"), FileMode::from_bits(0o640));
    }

    #[test]
    fn no_file_changes_who_a_program_runs_as() {
        assert_eq!(FileMode::parse("04755"), FileMode::from_bits(0o755));
        assert_eq!(FileMode::from_bits(0o1204), FileMode::from_bits(0o204));
        assert_eq!(FileMode::parse("7777"), FileMode::from_bits(0o777));
    }

    #[test]
    fn bits_can_be_taken_away_and_are_shown_in_octal() {
        let private = FileMode::RENDERED.without(0o055);

        assert_eq!(private, FileMode::PRIVATE);
        assert_eq!(format!("{private:?}"), "0o0600");
    }

    #[test]
    fn refuses_what_is_not_octal_or_too_large() {
        for text in ["", "0888", "rw", "-1", "+7", "17777", "99999999999999"] {
            assert_eq!(FileMode::parse(text), None, "{text}");
        }
    }
}
