//! What the API server says of a Job that it does not take, in the words of the PlanescapeJob.

use serde_json::Value;

/// Shorter texts are words, not values.
const SHORTEST_VALUE: usize = 4;

/// Where in a PlanescapeJob that is written which the API server names in the Job. An agent that
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

/// The message without the values of environment variables, commands and arguments, which it may
/// quote and which may be secrets.
pub fn without_values(message: &str, job: &Value) -> String {
    let mut values = Vec::new();
    for list in ["initContainers", "containers"] {
        let containers = job.pointer(&format!("/spec/template/spec/{list}"));
        for container in containers.and_then(Value::as_array).into_iter().flatten() {
            let items = |field: &str| container[field].as_array().into_iter().flatten();
            values.extend(items("env").filter_map(|variable| variable["value"].as_str()));
            values.extend(items("command").filter_map(Value::as_str));
            values.extend(items("args").filter_map(Value::as_str));
        }
    }
    // A value may contain another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let long = values.iter().filter(|value| value.len() >= SHORTEST_VALUE);
    long.fold(message.to_owned(), |message, value| {
        message.replace(value, "[...]")
    })
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
}
