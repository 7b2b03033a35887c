//! The symbols of a pattern: characters that none of its classes tells apart are one symbol.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::Failure;
use crate::unicode;

use super::class::{Class, LAST, Range};
use super::program::{Pay, Program};

pub(super) type Symbol = u32;

pub(super) struct Alphabet {
    ascii: [Symbol; 128],
    /// The symbols of characters of two bytes, which are most of those beyond ASCII; made when a text has one.
    near: OnceCell<Box<[Symbol]>>,
    /// The characters at which runs of a symbol start, in order; the first starts at zero.
    starts: Vec<u32>,
    symbols: Vec<Symbol>,
    /// One character of each symbol.
    samples: Vec<char>,
}

/// The cost of looking at one run, in units of work.
const RUN: usize = 32;

/// The cost of finding out whether a class was met before, for each of its ranges.
const HASHED: usize = 8;

impl Alphabet {
    /// The runs of characters that the classes and the assertions of a program tell apart.
    pub(super) fn of(program: &Program, pay: Pay<'_>) -> Result<Self, Failure> {
        let asked = match program.has_assertions() {
            true => vec![Class::newline(), Class::word()],
            false => Vec::new(),
        };
        let mut runs: BTreeMap<u32, Symbol> = BTreeMap::from([(0, 0)]);
        let mut count = 1;
        let mut seen: HashSet<&[Range]> = HashSet::new();
        // The copies that a repetition makes of a class stand at one place.
        let mut places: HashSet<*const Range> = HashSet::new();
        for class in program.classes().chain(&asked) {
            let ranges = class.ranges();
            if !places.insert(ranges.as_ptr()) {
                continue;
            }
            pay(ranges.len() * HASHED)?;
            if !seen.insert(ranges) {
                continue;
            }
            // The symbols that symbols become inside of the class.
            let mut inside: HashMap<Symbol, Symbol> = HashMap::new();
            let mut visits = 0;
            for &(first, last) in ranges {
                cut(&mut runs, first);
                cut(&mut runs, last + 1);
                for (_, symbol) in runs.range_mut(first..=last) {
                    visits += 1;
                    *symbol = *inside.entry(*symbol).or_insert_with(|| {
                        count += 1;
                        count - 1
                    });
                }
            }
            pay(visits * RUN)?;
        }
        Ok(Self::numbered(&runs))
    }

    /// Gives the symbols that are left numbers without gaps.
    fn numbered(runs: &BTreeMap<u32, Symbol>) -> Self {
        let mut numbers: HashMap<Symbol, Symbol> = HashMap::new();
        let mut alphabet = Self {
            ascii: [0; 128],
            near: OnceCell::new(),
            starts: Vec::with_capacity(runs.len()),
            symbols: Vec::with_capacity(runs.len()),
            samples: Vec::new(),
        };
        let ends = runs.keys().skip(1).copied().chain([LAST + 1]);
        for ((&start, old), end) in runs.iter().zip(ends) {
            // Surrogates are in no text.
            let Some(sample) = (start..end).find_map(char::from_u32) else {
                continue;
            };
            let symbol = *numbers.entry(*old).or_insert_with(|| {
                alphabet.samples.push(sample);
                alphabet.samples.len() as Symbol - 1
            });
            alphabet.starts.push(start);
            alphabet.symbols.push(symbol);
        }
        for code in 0..128 {
            alphabet.ascii[code as usize] = alphabet.find(code);
        }
        alphabet
    }

    fn beyond_ascii(&self, c: char) -> Symbol {
        const END: u32 = 0x800;
        let near = || (0..END).map(|code| self.find(code)).collect();
        let code = u32::from(c);
        match self.near.get_or_init(near).get(code as usize) {
            Some(&symbol) => symbol,
            None => self.find(code),
        }
    }

    fn find(&self, code: u32) -> Symbol {
        let after = self.starts.partition_point(|&start| start <= code);
        self.symbols[after - 1]
    }

    /// How many symbols there are, with the one for the end.
    pub(super) fn len(&self) -> usize {
        self.samples.len() + 1
    }

    /// The symbol for the end of a text.
    pub(super) fn end(&self) -> Symbol {
        self.samples.len() as Symbol
    }

    /// A character that the symbol stands for; nothing for the end.
    pub(super) fn sample(&self, symbol: Symbol) -> Option<char> {
        self.samples.get(symbol as usize).copied()
    }

    /// The symbol that starts a text, and how many bytes it takes.
    #[inline]
    pub(super) fn first(&self, text: &[u8]) -> (Symbol, usize) {
        match text.first() {
            Some(&byte) if byte < 128 => (self.ascii[usize::from(byte)], 1),
            Some(_) => {
                let (c, width) = unicode::decode(text);
                (
                    self.beyond_ascii(c.unwrap_or(char::REPLACEMENT_CHARACTER)),
                    width,
                )
            }
            None => (self.end(), 0),
        }
    }

    /// The symbol that ends a text, and how many bytes it takes.
    #[inline]
    pub(super) fn last(&self, text: &[u8]) -> (Symbol, usize) {
        match text.last() {
            Some(&byte) if byte < 128 => (self.ascii[usize::from(byte)], 1),
            Some(_) => {
                let width = unicode::last_width(text);
                self.first(&text[text.len() - width..])
            }
            None => (self.end(), 0),
        }
    }
}

/// Lets a run start here.
fn cut(runs: &mut BTreeMap<u32, Symbol>, at: u32) {
    let before = runs.range(..=at).next_back();
    let symbol = before.map_or(0, |(_, &symbol)| symbol);
    runs.entry(at).or_insert(symbol);
}
