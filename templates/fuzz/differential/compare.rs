//! Two outcomes must be the same in all but a few things, which differ on purpose or have no answer.

use super::Outcome;

/// The hint that we add to an error when a text looks like one of the other engine.
const HINT: &str = "; did you mean engine \"handlebars\"?";

/// Errors that end a run here on purpose, as the reference of templates says.
const DELIBERATE: &[&str] = &[
    // Go lets a slice reach into whatever room a list happens to have left.
    "error calling slice: index out of range",
    "Slice: slice index out of bounds",
    "a map cannot contain itself",
    // The original reads what follows a scheme and a host as the path, which is nothing more often than not.
    "first path segment in URL cannot contain colon",
    "functions do more than",
    "units of work",
    "bytes of memory",
    "nests deeper than",
    "output is larger than",
];

/// The address that we print for every pointer.
const ADDRESS: &[u8] = b"c0000000000";

/// Errors are the same when they agree up to the first value that one of them covers.
pub(crate) fn agrees(ours: &Outcome, theirs: &Outcome) -> bool {
    if let Err(ours) = ours
        && DELIBERATE.iter().any(|words| ours.contains(words))
    {
        return true;
    }
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => ours == theirs || without_addresses(ours, theirs),
        (Err(ours), Err(theirs)) => {
            let ours = ours.strip_suffix(HINT).unwrap_or(ours);
            let (ours, theirs) = (readable(ours), readable(theirs));
            let covered = |text: &str| text.find("[redacted]").unwrap_or(text.len());
            let common = covered(&ours).min(covered(&theirs));
            // An answer that is not known yet may be the cause of any error, so nothing is compared here.
            if ours.starts_with("missing: ") {
                return true;
            }
            let is_cut = ours.contains("[redacted]") || theirs.contains("[redacted]");
            if !is_cut {
                return ours == theirs;
            }
            ours.as_bytes().get(..common) == theirs.as_bytes().get(..common)
        }
        _ => false,
    }
}

/// Whether texts are the same but for addresses, which Go's heap makes different in every run.
fn without_addresses(ours: &[u8], theirs: &[u8]) -> bool {
    ours.windows(ADDRESS.len()).any(|window| window == ADDRESS) && masked(ours) == masked(theirs)
}

/// Hexadecimal numbers as long as an address become a mark.
fn masked(text: &[u8]) -> Vec<u8> {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| is_digit(byte)).count();
        let (number, after) = rest.split_at(digits.max(1));
        out.extend_from_slice(if (10..=12).contains(&digits) {
            b"ADDRESS"
        } else {
            number
        });
        rest = after;
    }
    out
}

/// Our errors are valid texts; it does not matter how many marks stand for bytes that are none.
fn readable(error: &str) -> String {
    let mut out = String::new();
    for c in error.chars() {
        if c != char::REPLACEMENT_CHARACTER || !out.ends_with(c) {
            out.push(c);
        }
    }
    out
}

pub(crate) fn shown(outcome: &Outcome) -> String {
    match outcome {
        Ok(text) => match std::str::from_utf8(text) {
            Ok(text) => format!("text  {text:?}"),
            Err(_) => format!("bytes \"{}\"", text.escape_ascii()),
        },
        Err(error) => format!("error {error:?}"),
    }
}
