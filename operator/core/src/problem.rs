//! A mistake in a PlanescapeJob, said so that its author can mend it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The sort of mistake.
    pub kind: Kind,
    /// The place, as a path from the object's root.
    pub field: String,
    /// The mistake, and what would be right.
    pub message: String,
}

/// The sort of mistake; the first sort present names the condition's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// In the Job template or its annotations.
    Template,
    /// In the schedule.
    Schedule,
    /// In the time zone.
    TimeZone,
}

impl Kind {
    /// The condition reason of a resource with such a problem.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Template => "InvalidTemplate",
            Self::Schedule => "InvalidSchedule",
            Self::TimeZone => "UnknownTimeZone",
        }
    }

    /// Whether it keeps the schedule from being understood.
    pub fn concerns_schedule(self) -> bool {
        match self {
            Self::Schedule | Self::TimeZone => true,
            Self::Template => false,
        }
    }
}

impl Problem {
    /// A problem in the Job template.
    pub fn template(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::Template, field, message)
    }

    /// A problem of the given kind.
    pub fn new(kind: Kind, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.message)
    }
}
