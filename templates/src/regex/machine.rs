//! The machine that runs all alternatives side by side, in memory that does not grow with the text.

use std::rc::Rc;

use crate::error::Failure;
use crate::unicode;

use super::groups::{Slot, holds};
use super::program::{Instruction, Marks, Pay, Program, VISIT};

type Slots = Rc<[Slot]>;

/// An instruction and what was saved on the way there.
type Thread = (u32, Slots);

/// Threads by preference, each instruction once.
struct Threads {
    order: Vec<Thread>,
    seen: Marks,
}

impl Threads {
    fn new(size: usize) -> Self {
        Self {
            order: Vec::new(),
            seen: Marks::new(size),
        }
    }

    fn clear(&mut self) {
        self.order.clear();
        self.seen.clear();
    }
}

/// A search that goes on.
pub(super) struct Machine<'p> {
    program: &'p Program,
    text: &'p [u8],
    pending: Vec<Thread>,
    /// Instructions looked at and not paid for.
    visits: usize,
}

impl<'p> Machine<'p> {
    pub(super) fn new(program: &'p Program, text: &'p [u8]) -> Self {
        Self {
            program,
            text,
            pending: Vec::new(),
            visits: 0,
        }
    }

    /// The slots of the match that starts at `at`.
    pub(super) fn find(mut self, mut at: usize, pay: Pay<'_>) -> Result<Option<Slots>, Failure> {
        pay(self.program.len())?;
        let mut current = Threads::new(self.program.len());
        let mut next = Threads::new(self.program.len());
        let mut best: Option<Slots> = None;
        let slots = vec![None; self.program.slots()].into();
        self.follow(&mut current, (0, slots), at);
        while !current.order.is_empty() {
            let (c, width) = unicode::decode(&self.text[at..]);
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            for (pc, slots) in &current.order {
                match self.program.at(*pc) {
                    Instruction::Char(class) if width > 0 && class.contains(c) => {
                        self.follow(&mut next, (pc + 1, Rc::clone(slots)), at + width);
                    }
                    Instruction::Match => {
                        best = Some(Rc::clone(slots));
                        break;
                    }
                    _ => {}
                }
            }
            pay((current.order.len() + std::mem::take(&mut self.visits)) * VISIT)?;
            std::mem::swap(&mut current, &mut next);
            next.clear();
            at += width;
        }
        Ok(best)
    }

    /// Adds a thread and all it reaches without reading.
    fn follow(&mut self, threads: &mut Threads, thread: Thread, at: usize) {
        self.pending.push(thread);
        while let Some((pc, slots)) = self.pending.pop() {
            self.visits += 1;
            if !threads.seen.set(pc as usize) {
                continue;
            }
            match self.program.at(pc) {
                Instruction::Jump(to) => self.pending.push((*to, slots)),
                Instruction::Split(first, second) => {
                    self.pending.push((*second, Rc::clone(&slots)));
                    self.pending.push((*first, slots));
                }
                Instruction::Save(slot) => {
                    let mut saved = slots.to_vec();
                    saved[*slot] = Some(at);
                    self.pending.push((pc + 1, saved.into()));
                }
                Instruction::Assert(assertion) => {
                    if holds(*assertion, self.text, at) {
                        self.pending.push((pc + 1, slots));
                    }
                }
                Instruction::Char(_) | Instruction::Match => threads.order.push((pc, slots)),
            }
        }
    }
}
