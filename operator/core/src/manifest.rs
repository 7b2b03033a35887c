//! A PlanescapeJob as it stands in a file, checked as the API server would check it and then the operator: there is no
//! cluster yet that could.

mod fields;
mod fits;
mod rules;

pub use fits::is_label;

use jiff::Timestamp;
use serde_json::{Value, json};

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
    /// The material of its Jobs.
    pub material: Material,
    /// Fields of its Job that only a newer cluster may know, a warning each.
    pub warnings: Vec<String>,
}

impl Manifest {
    /// Checks a manifest, with the additions of the API server.
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
            Err(error) if problems.is_empty() => {
                let message = format!("a field has a value of another kind: {error}");
                return Err(vec![Problem::template("spec", message)]);
            }
            Err(_) => return Err(with_those_of_the_rest(problems, written, defaults, now)),
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

/// The readable part of a manifest that has problems, and the warnings of its fields.
pub(crate) fn readable(written: &Value) -> (Option<PlanescapeJob>, Vec<String>) {
    let (problems, warnings) = fields::check(written);
    let job = as_stored(&rest(written, &problems));
    (job.ok(), warnings)
}

/// Everything that is wrong, although not every field can be read.
fn with_those_of_the_rest(
    problems: Vec<Problem>,
    written: &Value,
    defaults: &Defaults,
    now: Timestamp,
) -> Vec<Problem> {
    let Ok(job) = as_stored(&rest(written, &problems)) else {
        return problems;
    };
    let Err(mut more) = validate(&job, defaults, now) else {
        return problems;
    };
    if !written["spec"]["jobTemplate"].is_object() {
        // An empty one stands for it, in which nothing is as it should be.
        more.retain(|it| {
            !it.field.starts_with("spec.jobTemplate") && !it.field.ends_with(".secretName")
        });
    }
    joined(problems, more)
}

/// A manifest without the fields that have a problem, and with what it cannot be without.
fn rest(written: &Value, problems: &[Problem]) -> Value {
    let mut rest = written.clone();
    for problem in problems {
        let mut parts = problem.field.split(['.', '[']);
        let (Some(part), Some(name)) = (parts.next(), parts.next()) else {
            continue;
        };
        let fields = rest.get_mut(part).and_then(Value::as_object_mut);
        if let Some(fields) = fields
            && !(name == "jobTemplate" && fields.get(name).is_some_and(Value::is_object))
        {
            fields.remove(name);
        }
    }
    if let Some(spec) = rest.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("jobTemplate").or_insert_with(|| json!({}));
        if !written["spec"]["schedule"].is_null() {
            // Without one it would run once, which has other rules.
            spec.entry("schedule").or_insert_with(|| json!("@daily"));
        }
    }
    rest
}

/// A problem that both find is told once, in the operator's words, which know the use of the field.
fn joined(mut problems: Vec<Problem>, operators: Vec<Problem>) -> Vec<Problem> {
    problems.retain(|problem| operators.iter().all(|it| it.field != problem.field));
    // A name that is missing is missed by both.
    problems.extend(operators.into_iter().filter(|it| it.field != "metadata"));
    problems
}

#[cfg(test)]
mod tests;
