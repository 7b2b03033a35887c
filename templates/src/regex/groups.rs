//! Finds the groups of a match, once the match is known. Ways are tried one after the other, the preferred ones first
//! and no instruction twice at one place, which takes a bit for each; where that is too much, all side by side.

use crate::error::Failure;
use crate::unicode;

use super::Spans;
use super::machine::Machine;
use super::parse::{Assertion, Neighbor};
use super::program::{Instruction, Pay, Program, VISIT};

/// Bits that may be spent on what was tried.
const MOST: usize = 1 << 18;

pub(super) type Slot = Option<usize>;

/// A step that is yet to be tried.
enum Job {
    /// An instruction at a place.
    Try(u32, usize),
    /// Give a slot back what it held.
    Restore(usize, Slot),
}

/// Room for the search, kept from one match to the next.
#[derive(Default)]
pub(super) struct Groups {
    tried: Vec<u64>,
    jobs: Vec<Job>,
    slots: Vec<Slot>,
}

impl Groups {
    /// The match that starts at `from`, which is known to end at `end`, and its groups.
    pub(super) fn find(
        &mut self,
        program: &Program,
        text: &[u8],
        (from, end): (usize, usize),
        pay: Pay<'_>,
    ) -> Result<Spans, Failure> {
        let bits = program.len().saturating_mul(end - from + 1);
        if bits > MOST {
            let slots = Machine::new(program, text).find(from, pay)?;
            return Ok(spans(&slots.unwrap_or_default()));
        }
        self.tried.clear();
        self.tried.resize(bits.div_ceil(64), 0);
        pay(self.tried.len())?;
        self.slots.clear();
        self.slots.resize(program.slots(), None);
        let visits = self.search(program, text, (from, end));
        pay(visits * VISIT)?;
        Ok(spans(&self.slots))
    }

    /// Leaves the slots of the first match; says how many instructions were looked at.
    fn search(&mut self, program: &Program, text: &[u8], (from, end): (usize, usize)) -> usize {
        let length = end - from + 1;
        let mut visits = 0;
        self.jobs.clear();
        self.jobs.push(Job::Try(0, from));
        while let Some(job) = self.jobs.pop() {
            let (mut pc, mut at) = match job {
                Job::Try(pc, at) => (pc, at),
                Job::Restore(slot, old) => {
                    self.slots[slot] = old;
                    continue;
                }
            };
            loop {
                visits += 1;
                let bit = pc as usize * length + (at - from);
                let (word, mask) = (&mut self.tried[bit / 64], 1 << (bit % 64));
                if *word & mask != 0 {
                    break;
                }
                *word |= mask;
                match program.at(pc) {
                    Instruction::Jump(to) => {
                        pc = *to;
                        continue;
                    }
                    Instruction::Split(first, second) => {
                        self.jobs.push(Job::Try(*second, at));
                        pc = *first;
                        continue;
                    }
                    Instruction::Save(slot) => {
                        let old = self.slots[*slot].replace(at);
                        self.jobs.push(Job::Restore(*slot, old));
                    }
                    Instruction::Assert(assertion) => {
                        if !holds(*assertion, text, at) {
                            break;
                        }
                    }
                    Instruction::Char(class) => {
                        let (c, width) = unicode::decode(&text[at..]);
                        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                        if width == 0 || at + width > end || !class.contains(c) {
                            break;
                        }
                        at += width;
                    }
                    Instruction::Match => return visits,
                }
                pc += 1;
            }
        }
        visits
    }
}

pub(super) fn holds(assertion: Assertion, text: &[u8], at: usize) -> bool {
    assertion.holds(Neighbor::before(text, at), Neighbor::after(text, at))
}

fn spans(slots: &[Slot]) -> Spans {
    let span = |span: &[Slot]| Some((span[0]?, span[1]?));
    slots.chunks(2).map(span).collect()
}
