//! A digest of all that a run is made of, in sixteen digits: two equal digests mean that an edit changed nothing.

use serde_json::json;

use super::name::fnv;
use crate::api::v1alpha1::{DisruptionPolicy, PlanescapeJobSpec};

/// The digest of the job template, the vault block and what is written into the template beside it.
pub fn of(spec: &PlanescapeJobSpec) -> String {
    let made_of = match spec.disruption_policy {
        DisruptionPolicy::Count => json!([spec.job_template, spec.vault]),
        policy @ DisruptionPolicy::Ignore => json!([spec.job_template, spec.vault, policy]),
    };
    format!("{:016x}", fnv(&made_of.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn changes_with_what_a_job_is_made_of_alone() {
        let spec = |change: &[(&str, Value)]| {
            let mut spec = json!({ "jobTemplate": { "spec": { "a": 1, "b": 2 } } });
            for (field, value) in change {
                spec[field] = value.clone();
            }
            of(&serde_json::from_value(spec).unwrap())
        };
        let usual = spec(&[]);

        assert_eq!(usual.len(), 16);
        assert_eq!(spec(&[("suspend", json!(true))]), usual);
        assert_ne!(spec(&[("disruptionPolicy", json!("Ignore"))]), usual);
        let other = json!({ "spec": { "a": 1, "b": 3 } });
        assert_ne!(spec(&[("jobTemplate", other)]), usual);
        assert_ne!(
            spec(&[("vault", json!({ "role": "r", "path": "p" }))]),
            usual
        );
    }
}
