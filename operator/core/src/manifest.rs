//! A PlanescapeJob as it stands in a file, checked as the API server would check it and then the operator: there is no
//! cluster yet that could.

mod fields;
mod fits;
mod rules;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::{PlanescapeJob, as_stored};
use crate::defaults::Defaults;
use crate::job::validate::{Material, ValidatedJob, validate};
use crate::problem::Problem;

/// A PlanescapeJob that the API server takes and that can run.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// As the API server would store it.
    pub job: PlanescapeJob,
    /// As the operator knows it.
    pub validated: ValidatedJob,
    /// What its Jobs are made of.
    pub material: Material,
    /// Fields of its Job that only a newer cluster may know, a warning each.
    pub warnings: Vec<String>,
}

impl Manifest {
    /// Checks a manifest; what the API server would add is added here.
    ///
    /// # Errors
    /// Everything that keeps it from running, each with its field.
    pub fn read(
        written: &Value,
        defaults: &Defaults,
        now: Timestamp,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = rules::problems(written);
        let (wrong, warnings) = fields::check(written);
        problems.extend(wrong);
        let job = match as_stored(written) {
            Ok(job) => job,
            Err(_) if !problems.is_empty() => return Err(problems),
            Err(error) => {
                let message = format!("a field has a value of another kind: {error}");
                return Err(vec![Problem::template("spec", message)]);
            }
        };
        match validate(&job, defaults, now) {
            Ok((validated, material)) if problems.is_empty() => Ok(Self {
                job,
                validated,
                material,
                warnings,
            }),
            Ok(_) => Err(problems),
            Err(more) => Err(joined(problems, more)),
        }
    }
}

/// What both find is told once, in the operator's words, which know what the field is for.
fn joined(mut problems: Vec<Problem>, operators: Vec<Problem>) -> Vec<Problem> {
    problems.retain(|problem| operators.iter().all(|it| it.field != problem.field));
    // A name that is missing is missed by both.
    problems.extend(operators.into_iter().filter(|it| it.field != "metadata"));
    problems
}

#[cfg(test)]
mod tests;
