//! What a run is made of, in sixteen digits: two equal digests mean that an edit changed nothing.

use serde_json::json;

use super::name::fnv;
use crate::api::v1alpha1::PlanescapeJobSpec;

/// Of the job template and the vault block.
pub fn of(spec: &PlanescapeJobSpec) -> String {
    let made_of = json!([spec.job_template, spec.vault]);
    format!("{:016x}", fnv(&made_of.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn changes_with_the_template_and_the_vault_block_alone() {
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
        let other = json!({ "spec": { "a": 1, "b": 3 } });
        assert_ne!(spec(&[("jobTemplate", other)]), usual);
        assert_ne!(
            spec(&[("vault", json!({ "role": "r", "path": "p" }))]),
            usual
        );
    }
}
