//! Patterns that a pass has compiled, for the next time that it meets them.

use std::collections::HashMap;
use std::rc::Rc;

use planescape_vault::Text;

use crate::error::Failure;
use crate::meter::Meter;

use super::Regex;

/// The most patterns that are kept: the facts that searches find out about one take up to a megabyte.
const MOST: usize = 16;

/// The most instructions that all kept patterns have together.
const INSTRUCTIONS: usize = 20_000;

#[derive(Default)]
pub(crate) struct Patterns {
    compiled: HashMap<Text, Rc<Regex>>,
    instructions: usize,
}

impl Patterns {
    /// The regular expression of a pattern, compiled unless this pass has met it before.
    pub(crate) fn regex(
        &mut self,
        meter: &mut Meter,
        pattern: &Text,
    ) -> Result<Rc<Regex>, Failure> {
        if let Some(known) = self.compiled.get(pattern) {
            return Ok(Rc::clone(known));
        }
        let regex = Rc::new(Regex::compile(meter, pattern)?);
        self.keep(pattern, &regex);
        Ok(regex)
    }

    /// Keeps a pattern, in place of all others if there is no more room.
    fn keep(&mut self, pattern: &Text, regex: &Rc<Regex>) {
        let size = regex.program.len();
        if self.compiled.len() == MOST || self.instructions + size > INSTRUCTIONS {
            self.compiled.clear();
            self.instructions = 0;
        }
        self.instructions += size;
        self.compiled.insert(pattern.clone(), Rc::clone(regex));
    }
}
