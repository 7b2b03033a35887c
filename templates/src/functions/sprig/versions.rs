//! Semantic versions and what they are compared with.

use std::cmp::Ordering;

use planescape_vault::Text;

use crate::error::Failure;
use crate::value::{Place, Type, Value};
use crate::version::{Shape, Version, Words};

use super::{Context, Function, ONE, Outcome, TWO, done, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_semver", ONE, |_, args| {
        let own = text(args, 0);
        Ok(Version::parse(own)?.value(own.clone()))
    })
    .weighing(24),
    Function::new("sprig_semverCompare", TWO, |context, args| {
        let constraints = constraints(context, text(args, 0))?;
        let version = Version::parse(text(args, 1))?;
        let fits = |all: &Vec<Constraint>| all.iter().all(|one| one.holds(&version));
        Ok(Value::Bool(constraints.iter().any(fits)))
    })
    .weighing(200),
];

/// The methods of a version.
pub(in crate::functions) static METHODS: &[Function] = &[
    Function::new("Major", &[], |_, args| {
        Ok(Value::Uint64(own(args, 0).major))
    }),
    Function::new("Minor", &[], |_, args| {
        Ok(Value::Uint64(own(args, 0).minor))
    }),
    Function::new("Patch", &[], |_, args| {
        Ok(Value::Uint64(own(args, 0).patch))
    }),
    Function::new("Prerelease", &[], |_, args| done(own(args, 0).pre)),
    Function::new("Metadata", &[], |_, args| done(own(args, 0).metadata)),
    Function::new("Original", &[], |_, args| done(original(args))),
    Function::new("String", &[], |_, args| done(own(args, 0).to_string())),
    Function::new("IncMajor", &[], |_, args| {
        let Version { major, .. } = own(args, 0);
        next(args, major.wrapping_add(1), 0, 0)
    }),
    Function::new("IncMinor", &[], |_, args| {
        let Version { major, minor, .. } = own(args, 0);
        next(args, major, minor.wrapping_add(1), 0)
    }),
    Function::new("IncPatch", &[], |_, args| {
        let version = own(args, 0);
        let step = u64::from(version.pre.is_empty());
        let patch = version.patch.wrapping_add(step);
        next(args, version.major, version.minor, patch)
    }),
    Function::new("Compare", &[Type::Version], |_, args| {
        Ok(Value::Int(own(args, 0).compare(&own(args, 1)) as i64))
    }),
    Function::new("Equal", &[Type::Version], |_, args| {
        Ok(Value::Bool(own(args, 0).compare(&own(args, 1)).is_eq()))
    }),
    Function::new("LessThan", &[Type::Version], |_, args| {
        Ok(Value::Bool(own(args, 0).compare(&own(args, 1)).is_lt()))
    }),
    Function::new("GreaterThan", &[Type::Version], |_, args| {
        Ok(Value::Bool(own(args, 0).compare(&own(args, 1)).is_gt()))
    }),
];

fn own(args: &[Place], index: usize) -> Version {
    match &args[index].value {
        Value::Object(object) => Version::of(object),
        _ => Version::default(),
    }
}

fn original(args: &[Place]) -> Text {
    match &args[0].value {
        Value::Object(object) => {
            let field = object.field(b"original").and_then(Value::as_text);
            field.cloned().unwrap_or_default()
        }
        _ => Text::default(),
    }
}

fn next(args: &[Place], major: u64, minor: u64, patch: u64) -> Outcome {
    let prefix = if original(args).starts_with(b"v") {
        "v"
    } else {
        ""
    };
    let version = Version {
        major,
        minor,
        patch,
        ..Version::default()
    };
    let own = Text::from(format!("{prefix}{version}"));
    Ok(version.value(own))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Tilde,
    Caret,
}

/// One comparison; parts left open (`1.x`) count as zero and are noted.
struct Constraint {
    operator: Operator,
    version: Version,
    is_minor_open: bool,
    is_patch_open: bool,
    is_open: bool,
}

/// Digits and wildcards; the bar is there because the original's pattern has it.
fn is_open_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'x' | b'X' | b'*' | b'|')
}

impl Constraint {
    fn new(operator: Operator, shape: Shape) -> Result<Self, Failure> {
        let is_open = |part: &str| matches!(part, "" | "x" | "X" | "*");
        let [major, minor, patch] = &shape.numbers;
        let open = [is_open(major), is_open(minor), is_open(patch)];
        let numbers = match open {
            [true, ..] => "0.0.0".to_owned(),
            [false, true, _] => format!("{major}.0.0"),
            [false, false, true] => format!("{major}.{minor}.0"),
            [false, false, false] => format!("{major}.{minor}.{patch}"),
        };
        let pre = match shape.pre.as_str() {
            "" => String::new(),
            pre => format!("-{pre}"),
        };
        let version = Version::parse(format!("{numbers}{pre}").as_bytes())
            .map_err(|_| Failure::new("constraint Parser Error"))?;
        Ok(Self {
            operator,
            version,
            is_minor_open: !open[0] && open[1],
            is_patch_open: !open[0] && !open[1] && open[2],
            is_open: open.contains(&true),
        })
    }

    fn holds(&self, version: &Version) -> bool {
        let own = &self.version;
        let is_unasked_pre = !version.pre.is_empty() && own.pre.is_empty();
        if is_unasked_pre && (self.operator != Operator::NotEqual || self.is_open) {
            return false;
        }
        let order = version.compare(own);
        match self.operator {
            Operator::Equal if self.is_open => self.tilde(version),
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => self.differs(version),
            Operator::Greater if !self.is_open => order.is_gt(),
            Operator::Greater => match version.major.cmp(&own.major) {
                Ordering::Equal if self.is_minor_open => false,
                Ordering::Equal if self.is_patch_open => version.minor > own.minor,
                Ordering::Equal => order.is_gt(),
                by_major => by_major.is_gt(),
            },
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual if !self.is_open => order.is_le(),
            Operator::LessOrEqual => match version.major.cmp(&own.major) {
                Ordering::Equal => version.minor <= own.minor || self.is_minor_open,
                by_major => by_major.is_lt(),
            },
            Operator::Tilde => self.tilde(version),
            Operator::Caret => self.caret(version),
        }
    }

    fn differs(&self, version: &Version) -> bool {
        let own = &self.version;
        if !self.is_open {
            return !version.compare(own).is_eq();
        }
        if own.major != version.major {
            return true;
        }
        if self.is_minor_open {
            return false;
        }
        if own.minor != version.minor {
            return true;
        }
        if !self.is_patch_open {
            return own.patch != version.patch || !version.compare(own).is_eq();
        }
        let has_pre = !version.pre.is_empty() || !own.pre.is_empty();
        has_pre && version.pre != own.pre
    }

    /// At least this version, and the same major and minor number.
    fn tilde(&self, version: &Version) -> bool {
        let own = &self.version;
        if version.compare(own).is_lt() {
            return false;
        }
        let is_zero = (own.major, own.minor, own.patch) == (0, 0, 0);
        if is_zero && !self.is_minor_open && !self.is_patch_open {
            return true;
        }
        version.major == own.major && (version.minor == own.minor || self.is_minor_open)
    }

    /// At least this version, and the same first number that is not zero.
    fn caret(&self, version: &Version) -> bool {
        let own = &self.version;
        if version.compare(own).is_lt() {
            return false;
        }
        if own.major > 0 || self.is_minor_open {
            return version.major == own.major;
        }
        if version.major > 0 {
            return false;
        }
        if own.minor > 0 || self.is_patch_open {
            return version.minor == own.minor;
        }
        version.minor == 0 && own.patch == version.patch
    }
}

/// Any of these, each of which is all of some.
fn constraints(context: &mut Context<'_>, text: &[u8]) -> Result<Vec<Vec<Constraint>>, Failure> {
    let text = without_ranges(context, text)?;
    let segments = crate::bytes::split(&text, b"||", usize::MAX);
    segments.into_iter().map(segment).collect()
}

fn segment(text: &[u8]) -> Result<Vec<Constraint>, Failure> {
    let improper = || Failure::new("improper constraint: ").plain(text);
    let mut words = Words { text, at: 0 };
    let mut found = Vec::new();
    words.blanks();
    loop {
        let (operator, shape) = constraint(&mut words).ok_or_else(improper)?;
        found.push((operator, shape));
        let has_blank = words.blanks();
        let Some(byte) = words.rest().first() else {
            break;
        };
        if *byte == b',' {
            words.at += 1;
            words.blanks();
        } else if !has_blank {
            return Err(improper());
        }
    }
    found
        .into_iter()
        .map(|(operator, shape)| Constraint::new(operator, shape))
        .collect()
}

fn constraint(words: &mut Words<'_>) -> Option<(Operator, Shape)> {
    const OPERATORS: [(&[u8], Operator); 12] = [
        (b"!=", Operator::NotEqual),
        (b">=", Operator::GreaterOrEqual),
        (b"=>", Operator::GreaterOrEqual),
        (b"<=", Operator::LessOrEqual),
        (b"=<", Operator::LessOrEqual),
        (b"~>", Operator::Tilde),
        (b"=", Operator::Equal),
        (b">", Operator::Greater),
        (b"<", Operator::Less),
        (b"~", Operator::Tilde),
        (b"^", Operator::Caret),
        (b"", Operator::Equal),
    ];
    let (word, operator) = OPERATORS
        .into_iter()
        .find(|(word, _)| words.rest().starts_with(word))?;
    words.at += word.len();
    words.blanks();
    Some((operator, words.version(is_open_digit)?))
}

/// Puts `1.2 - 1.4` as two comparisons.
fn without_ranges(context: &mut Context<'_>, text: &[u8]) -> Result<Vec<u8>, Failure> {
    /// What reading one byte costs.
    const BYTE: usize = 4;
    let mut out = text.to_vec();
    let mut at = 0;
    while at < text.len() {
        let mut words = Words { text, at };
        words.blanks();
        let found = range(&mut words);
        // A long word is read again from each of its places.
        context.meter.charge((words.at - at) * BYTE)?;
        match found {
            Some((least, most)) => {
                context.meter.charge(out.len())?;
                let whole = &text[at..words.at];
                let comparisons = [b">= ", least, b", <= ", most, b" "].concat();
                if let Some(found) = crate::bytes::find(&out, whole) {
                    out.splice(found..found + whole.len(), comparisons);
                }
                at = words.at;
            }
            None => at += 1,
        }
    }
    Ok(out)
}

fn range<'t>(words: &mut Words<'t>) -> Option<(&'t [u8], &'t [u8])> {
    let text = words.text;
    let start = words.at;
    words.version(is_open_digit)?;
    let least = &text[start..words.at];
    let is_apart = words.blanks() && words.rest().first() == Some(&b'-');
    words.at += usize::from(is_apart);
    if !is_apart || !words.blanks() {
        return None;
    }
    let start = words.at;
    words.version(is_open_digit)?;
    let most = &text[start..words.at];
    words.blanks();
    Some((least, most))
}
