//! The variables of a run: a stack, and the places on it of each name's variables, so that a template with many of
//! them finds each at once.

use std::collections::HashMap;

use crate::ast::Name;
use crate::value::Place;

/// Names below this number are found without a hash.
const FEW: usize = 64;

#[derive(Default)]
pub(super) struct Variables {
    stack: Vec<(Name, Place)>,
    /// Places on the stack by name, the innermost last; most templates have names that are small numbers.
    few: Vec<Vec<usize>>,
    many: HashMap<Name, Vec<usize>>,
    /// The place at which the variables of the running body start.
    frame: usize,
}

impl Variables {
    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    pub(super) fn push(&mut self, name: Name, place: Place) {
        let at = self.stack.len();
        let index = name as usize;
        if index < FEW && index >= self.few.len() {
            self.few.resize_with(index + 1, Vec::new);
        }
        match self.few.get_mut(index) {
            Some(places) => places.push(at),
            None => self.many.entry(name).or_default().push(at),
        }
        self.stack.push((name, place));
    }

    /// Forgets the variables above this length.
    pub(super) fn truncate(&mut self, length: usize) {
        for (name, _) in self.stack.drain(length.min(self.stack.len())..) {
            match self.few.get_mut(name as usize) {
                Some(places) => places.pop(),
                None => self.many.entry(name).or_default().pop(),
            };
        }
    }

    /// Hides all variables from a body that begins; returns the place that [`Variables::leave`] takes.
    pub(super) fn enter(&mut self) -> usize {
        std::mem::replace(&mut self.frame, self.stack.len())
    }

    /// Forgets the variables of a body that ends.
    pub(super) fn leave(&mut self, outer: usize) {
        self.truncate(self.frame);
        self.frame = outer;
    }

    fn find(&self, name: Name) -> Option<usize> {
        let few = self.few.get(name as usize);
        let places = few.or_else(|| self.many.get(&name))?;
        places.last().copied().filter(|&at| at >= self.frame)
    }

    pub(super) fn get(&self, name: Name) -> Option<&Place> {
        self.find(name).map(|at| &self.stack[at].1)
    }

    /// Gives a variable another value; the value before, if there is a variable of this name.
    pub(super) fn set(&mut self, name: Name, place: Place) -> Option<Place> {
        let at = self.find(name)?;
        Some(std::mem::replace(&mut self.stack[at].1, place))
    }

    /// Gives the variable that was declared last, or `back` before it, another value.
    pub(super) fn set_last(&mut self, back: usize, place: Place) {
        let at = self.stack.len() - 1 - back;
        self.stack[at].1 = place;
    }
}
