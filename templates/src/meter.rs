//! The costs of a pass, and their limits.

use std::rc::Rc;

use crate::error::Failure;
use crate::options::Limits;
use crate::value::{Kind, Value};

/// The cost of one byte of a printed value.
pub(crate) const PRINTED: usize = 8;

/// The cost of the digits of a float.
pub(crate) const FLOAT: usize = 512;

/// The memory of an element of a list.
pub(crate) const ELEMENT: usize = 32;

/// The memory of a map besides its entries.
pub(crate) const MAP: usize = 600;

/// Refuses a text of this length, if it is longer than it may be.
pub(crate) fn check_length(length: usize, limit: usize) -> Result<(), Failure> {
    if length > limit {
        return Err(Failure::limit(format!(
            "output is larger than {limit} bytes"
        )));
    }
    Ok(())
}

/// The work and the memory of a pass.
pub(crate) struct Meter {
    pub(crate) limits: Limits,
    pub(crate) work: usize,
    pub(crate) memory: usize,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            work: 0,
            memory: 0,
        }
    }

    /// Pays for work before it is done, so that no template can work without end; a unit is about a nanosecond.
    pub(crate) fn charge(&mut self, units: usize) -> Result<(), Failure> {
        self.work = self.work.saturating_add(units);
        let limit = self.limits.work;
        if self.work > limit {
            return Err(Failure::limit(format!(
                "functions do more than {limit} units of work"
            )));
        }
        Ok(())
    }

    /// Accounts for memory before it is taken. Most values give nothing back: what a pass makes is bounded, not what it
    /// holds at one time.
    pub(crate) fn keep(&mut self, bytes: usize) -> Result<(), Failure> {
        self.memory = self.memory.saturating_add(bytes);
        let limit = self.limits.memory;
        if self.memory > limit {
            return Err(Failure::limit(format!(
                "values take more than {limit} bytes of memory"
            )));
        }
        Ok(())
    }

    /// Gives back what was counted for a list that goes, if nobody else holds it: else a list that grows one by one would
    /// take the square of its length.
    pub(crate) fn give_back(&mut self, value: &Value) {
        if let Value::List(items) = value
            && Rc::strong_count(items) == 1
        {
            self.memory = self.memory.saturating_sub(items.counted());
        }
    }

    /// Refuses what takes memory only for a moment, if there is no room for it.
    pub(crate) fn has_room(&mut self, bytes: usize) -> Result<(), Failure> {
        self.keep(bytes)?;
        self.memory -= bytes;
        Ok(())
    }

    /// Refuses a list whose elements there is no room to copy.
    pub(crate) fn can_copy(&mut self, value: &Value) -> Result<(), Failure> {
        match value.kind() {
            Kind::List => self.has_room(value.len().unwrap_or(0).saturating_mul(ELEMENT)),
            _ => Ok(()),
        }
    }

    /// Refuses a text that would be too long, before it is made.
    pub(crate) fn makes(&mut self, bytes: usize) -> Result<(), Failure> {
        check_length(bytes, self.limits.output)?;
        if bytes > self.output_limit() {
            return Err(self.used_up());
        }
        self.charge(bytes)
    }

    /// Pays for a piece of a text before it is written.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, piece: &[u8]) -> Result<(), Failure> {
        const PIECE: usize = 4;
        self.charge(PIECE + piece.len())?;
        check_length(out.len() + piece.len(), self.limits.output)?;
        out.extend_from_slice(piece);
        Ok(())
    }

    /// The largest text that a function may make, as far as work and memory are left for one.
    pub(crate) fn output_limit(&self) -> usize {
        let work = self.limits.work.saturating_sub(self.work) / PRINTED;
        let memory = self.limits.memory.saturating_sub(self.memory);
        self.limits.output.min(work).min(memory)
    }

    /// Says which of work and memory is nearer to its end.
    pub(crate) fn used_up(&self) -> Failure {
        let Limits { work, memory, .. } = self.limits;
        let is_work =
            (work.saturating_sub(self.work)) / PRINTED < memory.saturating_sub(self.memory);
        Failure::limit(match is_work {
            true => format!("the template does more than {work} units of work"),
            false => format!("values take more than {memory} bytes of memory"),
        })
    }
}
