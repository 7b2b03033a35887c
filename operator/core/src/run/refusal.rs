//! The API server's refusal of a Job, in the words of the PlanescapeJob.

use std::collections::BTreeSet;

use serde_json::Value;

/// Shorter texts are words, not values.
const SHORTEST_VALUE: usize = 4;

/// The place in a PlanescapeJob of a field that the API server names in the Job. An agent that
/// comes first moves the init containers by one.
pub fn written_at(field: &str, agent_comes_first: bool) -> String {
    let written = format!("spec.jobTemplate.{field}");
    let list = "spec.jobTemplate.spec.template.spec.initContainers[";
    let Some((index, rest)) = written.strip_prefix(list).and_then(|it| it.split_once(']')) else {
        return written;
    };
    match (index.parse::<usize>(), agent_comes_first) {
        (Ok(0), true) => "the agent's container, which annotations describe".to_owned(),
        (Ok(index), true) => format!("{list}{}]{rest}", index - 1),
        (Ok(_), false) | (Err(_), _) => written,
    }
}

/// The message without the values of environment variables, headers and annotations, and without
/// commands and arguments, which it may quote and which may be secrets.
pub fn without_values(message: &str, job: &Value) -> String {
    let mut values = BTreeSet::new();
    collect(job, &mut values);
    let mut values: Vec<String> = values.into_iter().collect();
    // A value may contain another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.iter().fold(message.to_owned(), |message, value| {
        message.replace(value, "[...]")
    })
}

/// Collects values that may be secrets, as they stand and as they are quoted.
fn collect(part: &Value, values: &mut BTreeSet<String>) {
    let mut add = |value: &Value| {
        let Some(text) = value.as_str().filter(|it| it.len() >= SHORTEST_VALUE) else {
            return;
        };
        let quoted = value.to_string();
        let quoted = quoted.trim_start_matches('"').trim_end_matches('"');
        values.extend([text, quoted, &text.escape_default().to_string()].map(str::to_owned));
    };
    let Some(fields) = part.as_object() else {
        let items = part.as_array().into_iter().flatten();
        return items.for_each(|item| collect(item, values));
    };
    for (key, inside) in fields {
        match key.as_str() {
            "command" | "args" => inside.as_array().into_iter().flatten().for_each(&mut add),
            "annotations" => inside
                .as_object()
                .into_iter()
                .flatten()
                .for_each(|it| add(it.1)),
            // The value of an environment variable or of a header.
            "value" => add(inside),
            _ => {}
        }
    }
    fields.values().for_each(|inside| collect(inside, values));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_the_field_as_the_author_wrote_it() {
        let pod = "spec.template.spec";
        for (field, comes_first, written) in [
            ("containers[0].image", true, "containers[0].image"),
            ("initContainers[1].image", true, "initContainers[0].image"),
            ("initContainers[1].image", false, "initContainers[1].image"),
        ] {
            let written = format!("spec.jobTemplate.{pod}.{written}");
            assert_eq!(written_at(&format!("{pod}.{field}"), comes_first), written);
        }
        let agents = written_at("spec.template.spec.initContainers[0].image", true);
        assert!(agents.contains("annotations"), "{agents}");
    }

    #[test]
    fn keeps_values_out_of_what_others_may_read() {
        let job = json!({ "spec": { "template": { "spec": { "containers": [{
            "name": "main",
            "command": ["sh"],
            "args": ["--password=hunter2"],
            "env": [{ "name": "TOKEN", "value": "s3cret" }],
        }] } } } });

        let message = without_values(
            "denied: TOKEN is s3cret in main, --password=hunter2, sh",
            &job,
        );

        assert_eq!(message, "denied: TOKEN is [...] in main, [...], sh");
    }

    #[test]
    fn a_value_of_four_letters_is_one_and_of_values_in_each_other_the_longer_goes_first() {
        let job = json!({ "env": [
            { "name": "A", "value": "abc" }, { "name": "B", "value": "wxyz" },
            { "name": "C", "value": "wxyz-1234" },
        ] });

        let message = without_values("abc, wxyz, wxyz-1234", &job);

        assert_eq!(message, "abc, [...], [...]");
    }

    #[test]
    fn finds_values_wherever_a_pod_may_have_them() {
        let probe = json!({ "exec": { "command": ["probe-1"] } });
        let request =
            json!({ "httpGet": { "httpHeaders": [{ "name": "X", "value": "header-1" }] } });
        let job = json!({
            "metadata": { "annotations": { "a.example.com/b": "note-1" } },
            "spec": { "template": {
                "metadata": { "annotations": { "vault.hashicorp.com/x": "line-1\n\"line-2\"" } },
                "spec": { "containers": [{
                    "livenessProbe": probe, "lifecycle": { "preStop": request },
                }] },
            } },
        });
        let quoted = r#"line-1\n\"line-2\""#;
        let message = format!("probe-1, header-1, note-1, {quoted}, line-1\n\"line-2\"");

        let message = without_values(&message, &job);

        assert_eq!(message, "[...], [...], [...], [...], [...]");
    }
}
