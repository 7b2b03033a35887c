//! Runs parts of a template on their own, to find what can never succeed.

use crate::ast::{Command, Pipe, Term};
use crate::value::{Place, Value};

use super::call::Arguments;
use super::{At, Run, Stop};

impl<'t> Run<'t> {
    /// Evaluates a pipeline that needs no data.
    pub(crate) fn evaluate(&mut self, pipe: &'t Pipe) -> Result<(), Stop> {
        self.pipeline(&Place::from(Value::Nil), pipe).map(drop)
    }

    /// Checks how many arguments a function is given, and the types of those that `is_known` knows.
    pub(crate) fn check_call(
        &mut self,
        command: &'t Command,
        is_piped: bool,
        is_known: &dyn Fn(&Term) -> bool,
    ) -> Result<(), Stop> {
        let Some((word @ Term::Function(_, function), args)) = command.args.split_first() else {
            return Ok(());
        };
        self.at = At::Term(word);
        let arguments = Arguments {
            args,
            piped: is_piped.then(|| Value::Nil.into()),
        };
        self.check_count(function, &arguments)?;
        for (index, term) in args.iter().enumerate().filter(|(_, term)| is_known(term)) {
            let (dot, of) = (Value::Nil.into(), function.parameter(index));
            match self.operand(&dot, term) {
                // The mistake is that this is an argument; its parts are no mistakes.
                Some(place) => {
                    let place = place?;
                    self.at = At::Term(term);
                    self.fitted(place, of)?;
                }
                None => drop(self.argument(&dot, of, term)?),
            }
        }
        Ok(())
    }
}
