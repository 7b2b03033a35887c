//! The owner of a file.

/// The user and the group of a file. An absent one stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: Option<Id>,
    /// The group.
    pub group: Option<Id>,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// By number.
    Number(u32),
    /// By the name that the system has for it.
    Name(String),
}

impl Id {
    /// A text of digits is a number.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(number) => Self::Number(number),
            Err(_) => Self::Name(text.to_owned()),
        }
    }

    /// `None` if no user or group can have this number.
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        u32::try_from(number).ok().map(Self::Number)
    }
}
