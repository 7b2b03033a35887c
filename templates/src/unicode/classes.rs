//! Character classes by name and characters that differ in case alone, by the rules of Unicode 15.0.0. The table is
//! written by `tests/servers/templates/unicode`, which says how to read it.

use std::collections::HashMap;
use std::sync::LazyLock;

static TABLE: &[u8] = include_bytes!("classes.bin");

struct Reader(&'static [u8]);

impl Reader {
    fn number(&mut self) -> u32 {
        let mut number = 0;
        for shift in (0..32).step_by(7) {
            let (&byte, rest) = self.0.split_first().expect("the table is whole");
            self.0 = rest;
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    fn text(&mut self) -> &'static [u8] {
        let length = self.number() as usize;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        text
    }

    fn ranges(&mut self) -> Vec<(u32, u32)> {
        let mut end = 0;
        let count = self.number();
        (0..count)
            .map(|_| {
                let first = end + self.number();
                let last = first + self.number();
                end = last + 1;
                (first, last)
            })
            .collect()
    }
}

/// The ranges of a class, in order.
pub(crate) fn class(name: &str) -> Option<Vec<(u32, u32)>> {
    let mut reader = Reader(TABLE);
    loop {
        let own = reader.text();
        if own.is_empty() {
            break;
        }
        let ranges = reader.ranges();
        if own == name.as_bytes() {
            return Some(ranges);
        }
    }
    loop {
        let own = reader.text();
        if own.is_empty() {
            return None;
        }
        let actual = reader.text();
        if own == name.as_bytes() {
            return class(std::str::from_utf8(actual).ok()?);
        }
    }
}

/// The ranges of several classes together, in order and apart.
pub(crate) fn union(names: &[&str]) -> Vec<(u32, u32)> {
    let mut all: Vec<_> = names
        .iter()
        .filter_map(|name| class(name))
        .flatten()
        .collect();
    all.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(all.len());
    for (first, last) in all {
        match merged.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// Whether a character is in one of these ranges.
pub(crate) fn has(ranges: &[(u32, u32)], c: char) -> bool {
    let code = u32::from(c);
    let after = ranges.partition_point(|&(first, _)| first <= code);
    after > 0 && code <= ranges[after - 1].1
}

static RINGS: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    let mut reader = Reader(TABLE);
    while !reader.text().is_empty() {
        reader.ranges();
    }
    while !reader.text().is_empty() {
        reader.text();
    }
    let count = reader.number();
    (0..count)
        .map(|_| {
            let size = reader.number();
            (0..size).map(|_| reader.number()).collect()
        })
        .collect()
});

/// The characters that differ from this one in case alone, with itself; none if there are no others.
pub(crate) fn ring(code: u32) -> &'static [u32] {
    static PLACES: LazyLock<HashMap<u32, usize>> = LazyLock::new(|| {
        let rings = RINGS.iter().enumerate();
        rings
            .flat_map(|(index, ring)| ring.iter().map(move |&code| (code, index)))
            .collect()
    });
    PLACES.get(&code).map_or(&[], |&index| &RINGS[index])
}

/// Groups of characters that differ in case alone.
pub(crate) fn rings() -> &'static [Vec<u32>] {
    &RINGS
}
