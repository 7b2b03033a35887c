//! A pattern as instructions.

use crate::error::Failure;

use super::class::Class;
use super::parse::{Assertion, Neighbor, Node};

/// More instructions than this are refused.
const MAX_SIZE: usize = 200_000;

/// The direction in which a program reads a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forwards,
    /// From the end, without groups and preferences: it finds the start of a match that ends at a known place.
    Backwards,
}

pub(super) enum Instruction {
    Char(Class),
    Assert(Assertion),
    /// Both ways, the first one preferred.
    Split(u32, u32),
    Jump(u32),
    Save(usize),
    Match,
}

pub(super) struct Program {
    code: Vec<Instruction>,
    direction: Direction,
    slots: usize,
    has_assertions: bool,
    /// The characters of ASCII that a match can begin with; nothing if it can also begin without any.
    first: Option<u128>,
}

/// The cost of looking at one instruction, in units of work.
pub(super) const VISIT: usize = 24;

/// Pays for work before more of it is done.
pub(super) type Pay<'p> = &'p mut dyn FnMut(usize) -> Result<(), Failure>;

impl Program {
    pub(super) fn compile(
        node: &Node,
        groups: usize,
        direction: Direction,
    ) -> Result<Self, Failure> {
        let mut program = Self {
            code: Vec::new(),
            direction,
            slots: 2 * groups,
            has_assertions: false,
            first: None,
        };
        program.group(node, 0)?;
        program.push(Instruction::Match)?;
        let mut code = program.code.iter();
        program.has_assertions = code.any(|one| matches!(one, Instruction::Assert(_)));
        program.first = program.first();
        Ok(program)
    }

    pub(super) fn at(&self, pc: u32) -> &Instruction {
        &self.code[pc as usize]
    }

    /// The places of a match and its groups.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn classes(&self) -> impl Iterator<Item = &Class> {
        self.code.iter().filter_map(|one| match one {
            Instruction::Char(class) => Some(class),
            _ => None,
        })
    }

    pub(super) fn has_assertions(&self) -> bool {
        self.has_assertions
    }

    /// How many sorts of neighbors there are for it.
    pub(super) fn neighbors(&self) -> usize {
        match self.has_assertions {
            true => Neighbor::ALL.len(),
            false => 1,
        }
    }

    /// A neighbor as this program sees it: without assertions all are one.
    pub(super) fn seen(&self, neighbor: Neighbor) -> Neighbor {
        match self.has_assertions {
            true => neighbor,
            false => Neighbor::None,
        }
    }

    /// Whether the first match in the order of preference is the one that counts, and not the longest.
    pub(super) fn prefers(&self) -> bool {
        self.direction == Direction::Forwards
    }

    /// The first instruction, from here, that is more than a way to another one.
    pub(super) fn landing(&self, mut pc: u32) -> u32 {
        loop {
            pc = match self.at(pc) {
                Instruction::Jump(to) => *to,
                Instruction::Save(_) => pc + 1,
                _ => return pc,
            };
        }
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
                Instruction::Jump(to) => pending.push(*to as usize),
                Instruction::Split(one, other) => pending.extend([*one as usize, *other as usize]),
                Instruction::Save(_) => pending.push(pc + 1),
                Instruction::Char(class) => first |= class.ascii(),
                Instruction::Assert(_) | Instruction::Match => return None,
            }
        }
        Some(first)
    }

    /// Whether some bytes are known with which no match can begin.
    pub(super) fn can_skip(&self) -> bool {
        self.first.is_some()
    }

    /// How many bytes no match can begin with.
    pub(super) fn skipped(&self, text: &[u8]) -> usize {
        let Some(first) = self.first else {
            return 0;
        };
        let may_begin = |byte: &u8| *byte >= 128 || first >> *byte & 1 == 1;
        text.iter().position(may_begin).unwrap_or(text.len())
    }

    /// The place of the next instruction.
    fn here(&self) -> u32 {
        self.code.len() as u32
    }

    fn push(&mut self, instruction: Instruction) -> Result<u32, Failure> {
        if self.code.len() >= MAX_SIZE {
            return Err(Failure::limit("error parsing regexp: expression too large"));
        }
        self.code.push(instruction);
        Ok(self.here() - 1)
    }

    fn emit(&mut self, node: &Node) -> Result<(), Failure> {
        match node {
            Node::Empty => {}
            Node::Class(class) => {
                self.push(Instruction::Char(class.clone()))?;
            }
            Node::Assert(assertion) => {
                self.push(Instruction::Assert(match self.direction {
                    Direction::Forwards => *assertion,
                    Direction::Backwards => assertion.mirrored(),
                }))?;
            }
            Node::Group(inner, number) => self.group(inner, *number)?,
            Node::Concat(nodes) => match self.direction {
                Direction::Forwards => nodes.iter().try_for_each(|node| self.emit(node))?,
                Direction::Backwards => nodes.iter().rev().try_for_each(|node| self.emit(node))?,
            },
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

    fn group(&mut self, inner: &Node, number: usize) -> Result<(), Failure> {
        self.push(Instruction::Save(2 * number))?;
        self.emit(inner)?;
        self.push(Instruction::Save(2 * number + 1))?;
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
            self.code[split as usize] = Instruction::Split(split + 1, self.here());
        }
        let end = self.here();
        for jump in jumps {
            self.code[jump as usize] = Instruction::Jump(end);
        }
        Ok(())
    }

    fn branch(&mut self, at: u32, inside: u32, outside: u32, greedy: bool) {
        self.code[at as usize] = if greedy {
            Instruction::Split(inside, outside)
        } else {
            Instruction::Split(outside, inside)
        };
    }

    fn star(&mut self, node: &Node, greedy: bool) -> Result<(), Failure> {
        if node.may_be_empty() {
            // (x+)?: an empty round must still leave its groups set.
            let enter = self.push(Instruction::Split(0, 0))?;
            let start = self.here();
            self.emit(node)?;
            let again = self.push(Instruction::Split(0, 0))?;
            let end = self.here();
            self.branch(again, start, end, greedy);
            self.branch(enter, start, end, greedy);
            return Ok(());
        }
        let split = self.push(Instruction::Split(0, 0))?;
        self.emit(node)?;
        self.push(Instruction::Jump(split))?;
        let end = self.here();
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
        let end = self.here();
        for split in splits {
            self.branch(split, split + 1, end, greedy);
        }
        Ok(())
    }
}

/// A set of instructions that is cheap to empty.
pub(super) struct Marks {
    rounds: Vec<u32>,
    round: u32,
}

impl Marks {
    pub(super) fn new(size: usize) -> Self {
        Self {
            rounds: vec![0; size],
            round: 1,
        }
    }

    /// Adds one; false if it was in the set.
    pub(super) fn set(&mut self, at: usize) -> bool {
        std::mem::replace(&mut self.rounds[at], self.round) != self.round
    }

    pub(super) fn clear(&mut self) {
        self.round = match self.round.checked_add(1) {
            Some(next) => next,
            None => {
                self.rounds.fill(0);
                1
            }
        };
    }
}
