//! A pattern as instructions, and the machine that runs all alternatives side by side.

use std::rc::Rc;

use crate::error::Failure;
use crate::unicode;

use super::Spans;
use super::class::Class;
use super::parse::{Assertion, Node};

/// More instructions than this are refused.
const MAX_SIZE: usize = 200_000;

enum Instruction {
    Char(Class),
    Assert(Assertion),
    /// Both ways, the first one preferred.
    Split(usize, usize),
    Jump(usize),
    Save(usize),
    Match,
}

pub(super) struct Program {
    code: Vec<Instruction>,
    slots: usize,
    /// The characters of ASCII that a match can begin with; nothing if it can also begin without any.
    first: Option<u128>,
}

/// What looking at one instruction costs, in units of work.
const VISIT: usize = 24;

/// Pays for work before more of it is done.
pub(super) type Pay<'p> = &'p mut dyn FnMut(usize) -> Result<(), Failure>;

impl Program {
    pub(super) fn compile(node: &Node, groups: usize) -> Result<Self, Failure> {
        let mut program = Self {
            code: Vec::new(),
            slots: 2 * groups,
            first: None,
        };
        program.emit(&Node::Group(Box::new(node.clone()), 0))?;
        program.push(Instruction::Match)?;
        program.first = program.first();
        Ok(program)
    }

    /// How many instructions it has.
    pub(super) fn len(&self) -> usize {
        self.code.len()
    }

    fn first(&self) -> Option<u128> {
        let mut first = 0;
        let mut seen = vec![false; self.code.len()];
        let mut pending = vec![0];
        while let Some(pc) = pending.pop() {
            if std::mem::replace(&mut seen[pc], true) {
                continue;
            }
            match &self.code[pc] {
                Instruction::Jump(to) => pending.push(*to),
                Instruction::Split(one, other) => pending.extend([*one, *other]),
                Instruction::Save(_) => pending.push(pc + 1),
                Instruction::Char(class) => first |= class.ascii(),
                Instruction::Assert(_) | Instruction::Match => return None,
            }
        }
        Some(first)
    }

    /// How many bytes no match can begin with.
    fn skipped(&self, text: &[u8]) -> usize {
        let Some(first) = self.first else {
            return 0;
        };
        let may_begin = |byte: &u8| *byte >= 128 || first >> *byte & 1 == 1;
        text.iter().position(may_begin).unwrap_or(text.len())
    }

    fn push(&mut self, instruction: Instruction) -> Result<usize, Failure> {
        if self.code.len() >= MAX_SIZE {
            return Err(Failure::limit("error parsing regexp: expression too large"));
        }
        self.code.push(instruction);
        Ok(self.code.len() - 1)
    }

    fn emit(&mut self, node: &Node) -> Result<(), Failure> {
        match node {
            Node::Empty => {}
            Node::Class(class) => {
                self.push(Instruction::Char(class.clone()))?;
            }
            Node::Assert(assertion) => {
                self.push(Instruction::Assert(*assertion))?;
            }
            Node::Group(inner, number) => {
                self.push(Instruction::Save(2 * number))?;
                self.emit(inner)?;
                self.push(Instruction::Save(2 * number + 1))?;
            }
            Node::Concat(nodes) => nodes.iter().try_for_each(|node| self.emit(node))?,
            Node::Alternate(nodes) => self.alternate(nodes)?,
            Node::Repeat(repeat) => {
                let (node, greedy) = (&repeat.node, repeat.greedy);
                for _ in 0..repeat.least {
                    self.emit(node)?;
                }
                match repeat.most {
                    None => self.star(node, greedy)?,
                    Some(most) => self.optional(node, most - repeat.least, greedy)?,
                }
            }
        }
        Ok(())
    }

    fn alternate(&mut self, nodes: &[Node]) -> Result<(), Failure> {
        let mut jumps = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            if index + 1 == nodes.len() {
                self.emit(node)?;
                break;
            }
            let split = self.push(Instruction::Split(0, 0))?;
            self.emit(node)?;
            jumps.push(self.push(Instruction::Jump(0))?);
            self.code[split] = Instruction::Split(split + 1, self.code.len());
        }
        let end = self.code.len();
        for jump in jumps {
            self.code[jump] = Instruction::Jump(end);
        }
        Ok(())
    }

    fn branch(&mut self, at: usize, inside: usize, outside: usize, greedy: bool) {
        self.code[at] = if greedy {
            Instruction::Split(inside, outside)
        } else {
            Instruction::Split(outside, inside)
        };
    }

    fn star(&mut self, node: &Node, greedy: bool) -> Result<(), Failure> {
        if node.may_be_empty() {
            // (x+)?: an empty round must still leave its groups set.
            let enter = self.push(Instruction::Split(0, 0))?;
            let start = self.code.len();
            self.emit(node)?;
            let again = self.push(Instruction::Split(0, 0))?;
            let end = self.code.len();
            self.branch(again, start, end, greedy);
            self.branch(enter, start, end, greedy);
            return Ok(());
        }
        let split = self.push(Instruction::Split(0, 0))?;
        self.emit(node)?;
        self.push(Instruction::Jump(split))?;
        let end = self.code.len();
        self.branch(split, split + 1, end, greedy);
        Ok(())
    }

    /// Up to `count` times: (x(x(x)?)?)?
    fn optional(&mut self, node: &Node, count: usize, greedy: bool) -> Result<(), Failure> {
        let mut splits = Vec::new();
        for _ in 0..count {
            splits.push(self.push(Instruction::Split(0, 0))?);
            self.emit(node)?;
        }
        let end = self.code.len();
        for split in splits {
            self.branch(split, split + 1, end, greedy);
        }
        Ok(())
    }

    /// The leftmost match at or after `from`: the first `kept` of its slots.
    pub(super) fn find(
        &self,
        text: &[u8],
        from: usize,
        kept: usize,
        pay: Pay<'_>,
    ) -> Result<Option<Spans>, Failure> {
        let mut machine = Machine {
            program: self,
            text,
            kept: kept.min(self.slots),
            pending: Vec::new(),
            visits: 0,
        };
        pay(self.code.len())?;
        let mut current = Threads::new(self.code.len());
        let mut next = Threads::new(self.code.len());
        let mut best: Option<Slots> = None;
        let mut at = from;
        loop {
            if best.is_none() {
                if current.order.is_empty() {
                    let skipped = self.skipped(&text[at..]);
                    pay(skipped)?;
                    at += skipped;
                }
                let slots = vec![None; machine.kept].into();
                machine.follow(&mut current, (0, slots), at);
            } else if current.order.is_empty() {
                break;
            }
            let (c, width) = unicode::decode(&text[at..]);
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            for index in 0..current.order.len() {
                let (pc, slots) = &current.order[index];
                match &self.code[*pc] {
                    Instruction::Char(class) if width > 0 && class.contains(c) => {
                        machine.follow(&mut next, (pc + 1, Rc::clone(slots)), at + width);
                    }
                    Instruction::Match => {
                        best = Some(Rc::clone(slots));
                        break;
                    }
                    _ => {}
                }
            }
            pay((current.order.len() + std::mem::take(&mut machine.visits)) * VISIT)?;
            if width == 0 {
                break;
            }
            std::mem::swap(&mut current, &mut next);
            next.clear();
            at += width;
        }
        Ok(best.map(|slots| {
            slots
                .chunks(2)
                .map(|span| Some((span[0]?, span[1]?)))
                .collect()
        }))
    }
}

/// A search that goes on.
struct Machine<'p> {
    program: &'p Program,
    text: &'p [u8],
    kept: usize,
    pending: Vec<Thread>,
    /// Instructions looked at and not paid for.
    visits: usize,
}

impl Machine<'_> {
    /// Adds a thread and all it reaches without reading.
    fn follow(&mut self, threads: &mut Threads, thread: Thread, at: usize) {
        self.pending.push(thread);
        while let Some((pc, slots)) = self.pending.pop() {
            self.visits += 1;
            if !threads.visit(pc) {
                continue;
            }
            match &self.program.code[pc] {
                Instruction::Jump(to) => self.pending.push((*to, slots)),
                Instruction::Split(first, second) => {
                    self.pending.push((*second, Rc::clone(&slots)));
                    self.pending.push((*first, slots));
                }
                Instruction::Save(slot) if *slot >= self.kept => {
                    self.pending.push((pc + 1, slots));
                }
                Instruction::Save(slot) => {
                    let mut saved = slots.to_vec();
                    saved[*slot] = Some(at);
                    self.pending.push((pc + 1, saved.into()));
                }
                Instruction::Assert(assertion) => {
                    if assertion.holds(self.text, at) {
                        self.pending.push((pc + 1, slots));
                    }
                }
                Instruction::Char(_) | Instruction::Match => threads.order.push((pc, slots)),
            }
        }
    }
}

type Slots = Rc<[Option<usize>]>;

/// An instruction and what was saved on the way there.
type Thread = (usize, Slots);

/// Threads by preference, each instruction once.
struct Threads {
    order: Vec<Thread>,
    seen: Vec<u32>,
    round: u32,
}

impl Threads {
    fn new(size: usize) -> Self {
        Self {
            order: Vec::new(),
            seen: vec![0; size],
            round: 1,
        }
    }

    fn visit(&mut self, pc: usize) -> bool {
        let is_new = self.seen[pc] != self.round;
        self.seen[pc] = self.round;
        is_new
    }

    fn clear(&mut self) {
        self.order.clear();
        self.round += 1;
    }
}
