//! A program as a deterministic automaton that is made while it runs: each step of the machine that follows all
//! alternatives is computed once for each set of alternatives and symbol, and looked up from then on.

use std::collections::HashMap;
use std::rc::Rc;

use crate::error::Failure;

use super::alphabet::{Alphabet, Symbol};
use super::parse::Neighbor;
use super::program::{Instruction, Marks, Pay, Program, VISIT};

/// The bytes of a state besides its row and its threads.
const STATE: usize = 100;

/// The costs of a search and of each of its bytes, in units of work.
const SEARCH: usize = 64;
const BYTE: usize = 2;

/// The bytes that all states may take before they are forgotten.
const MOST: usize = 512 << 10;

/// An entry of the table: nothing is known yet.
const UNKNOWN: u32 = u32::MAX;

/// A bit of an entry: a match ends before the symbol.
const ENDS: u32 = 1 << 31;

/// The state that leads nowhere.
const DEAD: usize = 0;

/// How a search goes on once it has found a match.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// It stops.
    Any,
    /// It follows alternatives that are preferred to the match.
    Preferred,
}

/// The text of a search, and its program.
#[derive(Clone, Copy)]
pub(super) struct Search<'s> {
    pub(super) program: &'s Program,
    pub(super) alphabet: &'s Alphabet,
    pub(super) text: &'s [u8],
}

/// A set of alternatives: where each goes on, the preferred ones first.
#[derive(PartialEq, Eq, Hash)]
struct State {
    before: Neighbor,
    threads: Box<[u32]>,
}

/// The states that are known, for one program and its alphabet.
pub(super) struct Dfa {
    /// Symbols in a row.
    width: usize,
    /// The place of the next state's row, for each state and symbol.
    table: Vec<u32>,
    states: Vec<Rc<State>>,
    rows: HashMap<Rc<State>, u32>,
    memory: usize,
    visited: Marks,
    added: Marks,
    pending: Vec<u32>,
    next: Vec<u32>,
}

impl Dfa {
    pub(super) fn new(program: &Program, alphabet: &Alphabet) -> Self {
        let mut dfa = Self {
            width: alphabet.len(),
            table: Vec::new(),
            states: Vec::new(),
            rows: HashMap::new(),
            memory: 0,
            visited: Marks::new(program.len()),
            added: Marks::new(program.len()),
            pending: Vec::new(),
            next: Vec::new(),
        };
        dfa.clear(program);
        dfa
    }

    /// Forgets all states but the dead one and those in which a search starts.
    fn clear(&mut self, program: &Program) {
        self.table.clear();
        self.states.clear();
        self.rows.clear();
        self.memory = 0;
        self.row(Neighbor::None, &[]);
        for before in Neighbor::ALL {
            self.row(program.seen(before), &[0]);
        }
    }

    /// The row of a state.
    fn row(&mut self, before: Neighbor, threads: &[u32]) -> usize {
        let state = State {
            before,
            threads: threads.into(),
        };
        if let Some(&row) = self.rows.get(&state) {
            return row as usize;
        }
        let row = self.table.len();
        let state = Rc::new(state);
        self.memory += STATE + size_of_val(threads) + self.width * size_of::<u32>();
        self.table.resize(row + self.width, UNKNOWN);
        self.states.push(Rc::clone(&state));
        self.rows.insert(state, row as u32);
        row
    }

    /// The end of the leftmost match that starts at `from` or behind it.
    pub(super) fn end(
        &mut self,
        search: Search<'_>,
        from: usize,
        goal: Goal,
        pay: Pay<'_>,
    ) -> Result<Option<usize>, Failure> {
        let Search {
            program,
            alphabet,
            text,
        } = search;
        let mut state = self.row_of_start(program.seen(Neighbor::before(text, from)));
        // The first rows are those in which nothing has begun.
        let idle = self.width * program.neighbors();
        let mut found = None;
        let mut at = from;
        loop {
            if state <= idle && program.can_skip() {
                at += program.skipped(&text[at..]);
                state = self.row_of_start(program.seen(Neighbor::before(text, at)));
            }
            let (symbol, width) = alphabet.first(&text[at..]);
            let mut next = self.table[state + symbol as usize];
            if next == UNKNOWN {
                next = self.step(search, &mut state, symbol, pay)?;
            }
            if next & ENDS != 0 {
                found = Some(at);
                if goal == Goal::Any {
                    break;
                }
            }
            state = (next & !ENDS) as usize;
            if state == DEAD || width == 0 {
                break;
            }
            at += width;
        }
        pay(SEARCH + (at - from) * BYTE)?;
        Ok(found)
    }

    /// The first place, at `from` or behind it, from where a match reaches `end`; of a program that reads backwards.
    pub(super) fn start(
        &mut self,
        search: Search<'_>,
        (from, end): (usize, usize),
        pay: Pay<'_>,
    ) -> Result<Option<usize>, Failure> {
        let Search {
            program,
            alphabet,
            text,
        } = search;
        let mut state = self.row_of_start(program.seen(Neighbor::after(text, end)));
        let mut found = None;
        let mut at = end;
        loop {
            let (symbol, width) = alphabet.last(&text[..at]);
            let mut next = self.table[state + symbol as usize];
            if next == UNKNOWN {
                next = self.step(search, &mut state, symbol, pay)?;
            }
            if next & ENDS != 0 {
                found = Some(at);
            }
            state = (next & !ENDS) as usize;
            if state == DEAD || at <= from {
                break;
            }
            at -= width;
        }
        pay(SEARCH + (end - at) * BYTE)?;
        Ok(found)
    }

    /// The row in which a search starts.
    fn row_of_start(&self, before: Neighbor) -> usize {
        self.width * (1 + before as usize)
    }

    /// Finds and notes the state to which a symbol leads.
    #[cold]
    fn step(
        &mut self,
        search: Search<'_>,
        state: &mut usize,
        symbol: Symbol,
        pay: Pay<'_>,
    ) -> Result<u32, Failure> {
        let program = search.program;
        let current = Rc::clone(&self.states[*state / self.width]);
        let sample = search.alphabet.sample(symbol);
        let (ends, visits) = self.follow(program, &current, sample);
        pay((visits + self.next.len() + 8) * VISIT + self.width)?;
        if self.memory > MOST {
            self.clear(program);
            *state = self.row(current.before, &current.threads);
        }
        let next = std::mem::take(&mut self.next);
        let row = match sample {
            Some(_) if !next.is_empty() => self.row(program.seen(Neighbor::of(sample)), &next),
            Some(_) | None => DEAD,
        };
        self.next = next;
        let entry = row as u32 | if ends { ENDS } else { 0 };
        self.table[*state + symbol as usize] = entry;
        Ok(entry)
    }

    /// Finds the threads behind a symbol; says whether a match ends before it, and how many instructions were looked at.
    fn follow(&mut self, program: &Program, state: &State, sample: Option<char>) -> (bool, usize) {
        let mut visits = 0;
        let mut ends = false;
        self.next.clear();
        self.visited.clear();
        self.added.clear();
        'threads: for &thread in &state.threads {
            self.pending.push(thread);
            while let Some(pc) = self.pending.pop() {
                visits += 1;
                if !self.visited.set(pc as usize) {
                    continue;
                }
                match program.at(pc) {
                    Instruction::Jump(to) => self.pending.push(*to),
                    Instruction::Split(first, second) => self.pending.extend([*second, *first]),
                    Instruction::Save(_) => self.pending.push(pc + 1),
                    Instruction::Assert(assertion) => {
                        if assertion.holds(state.before, Neighbor::of(sample)) {
                            self.pending.push(pc + 1);
                        }
                    }
                    Instruction::Char(class) => {
                        if sample.is_some_and(|c| class.contains(c)) {
                            let target = program.landing(pc + 1);
                            if self.added.set(target as usize) {
                                self.next.push(target);
                            }
                        }
                    }
                    Instruction::Match => {
                        ends = true;
                        if program.prefers() {
                            self.pending.clear();
                            break 'threads;
                        }
                    }
                }
            }
        }
        // A match may start behind the symbol too, if none starts before it.
        if program.prefers() && state.threads.last() == Some(&0) && !ends {
            self.next.push(0);
        }
        (ends, visits)
    }
}
