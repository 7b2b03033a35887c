//! `planescape template lint`.

use serde_json::Value;

use super::{file, planescape};

const MANIFEST: &str = r#"apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  spec:
    template:
      metadata:
        annotations:
          openbao.org/agent-inject-template-db: |
            user={{ with secret "kv/data/app" -}}
            {{ .Data.user }}{{ end }}
"#;

#[test]
fn a_finding_is_shown_in_the_manifest_that_holds_the_template() {
    let (_folder, path) = file("job.yaml", MANIFEST);

    let outcome = planescape(&["template", "lint", &path], "");

    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.out,
        format!(
            "{path}:12:21: error[kv-data]: `kv/data/app` is KV version 2, whose .Data holds `data` and `metadata`\n   \
             |\n\
             12 |             {{{{ .Data.user }}}}{{{{ end }}}}\n   \
             |                     ^^^^^\n   \
             = write `.Data.data.user`\n\n\
             1 error, 0 warnings in 1 template\n"
        )
    );
}

#[test]
fn of_a_long_line_the_part_around_the_mistake_is_shown() {
    let text = format!("{}{{{{ foo }}}}{}", "é".repeat(1_000), "y".repeat(1_000));
    let (_folder, path) = file("long.ctmpl", &text);

    let outcome = planescape(&["template", "lint", &path], "");

    let lines: Vec<&str> = outcome.out.lines().collect();
    let (line, carets) = (lines[2], lines[3]);
    assert_eq!(line.chars().count(), "1 | ".len() + 302, "{}", outcome.out);
    let pointed = line.chars().zip(carets.chars());
    let pointed: String = pointed
        .filter(|(_, caret)| *caret == '^')
        .map(|(c, _)| c)
        .collect();
    assert_eq!(pointed, "foo");
}

#[test]
fn of_very_many_mistakes_it_says_that_more_may_be_left() {
    let (_folder, path) = file("many.ctmpl", &"{{ template `x` }}\n".repeat(200));

    let outcome = planescape(&["template", "lint", &path], "");

    let last = "100 errors, 0 warnings in 1 template\n\
                no more than 100 of one template are shown: mend these and look again\n";
    assert!(outcome.out.ends_with(last), "{}", outcome.out);
}

#[test]
fn a_manifest_that_says_a_key_twice_is_refused_with_the_place() {
    let twice = MANIFEST.replace("  kind: Deployment\n", "  kind: Deployment\n  kind: Job\n");
    let (_folder, path) = file("job.yaml", &twice);

    let outcome = planescape(&["template", "lint", &path], "");

    let told =
        format!("planescape: {path}: line 6 says `kind` a second time: leave one of them out\n");
    assert_eq!((outcome.code, outcome.errors), (Some(1), told));
}

#[test]
fn configurations_in_config_maps_are_linted_where_they_stand() {
    let manifest = r#"apiVersion: v1
kind: ConfigMap
data:
  config-init.hcl: |
    template {
      destination = "/vault/secrets/db"
      contents = <<EOT
    {{ with secret "kv/data/app" }}
    {{ .Data.user }}{{ end }}
    EOT
    }
  app.ctmpl: "{{ b64enc 1 }}"
  server.json: '{"listener": {}}'
  notes.txt: "{{ nothing of ours }}"
"#;
    let (_folder, path) = file("map.yaml", manifest);

    let outcome = planescape(&["template", "lint", "--format", "json", &path], "");

    assert_eq!(outcome.code, Some(1));
    let found: Value = serde_json::from_str(&outcome.out).unwrap();
    let found: Vec<_> = found.as_array().unwrap().iter().collect();
    let places = found.iter().map(|finding| {
        (
            finding["rule"].as_str().unwrap(),
            finding["line"].as_u64().unwrap(),
        )
    });
    let mut places: Vec<_> = places.collect();
    places.sort_unstable();
    assert_eq!(places, [("kv-data", 9), ("unknown-function", 12)]);
}

#[test]
fn programs_get_json_and_code_hosts_sarif() {
    let lint = |format: &str| {
        let outcome = planescape(
            &["template", "lint", "--format", format, "-"],
            "é {{ b64enc 1 }}",
        );
        assert_eq!(outcome.code, Some(1));
        serde_json::from_str::<Value>(&outcome.out).unwrap()
    };

    let json = lint("json");
    assert_eq!(json[0]["rule"], "unknown-function");
    assert_eq!(
        (&json[0]["line"], &json[0]["column"]),
        (&1.into(), &6.into())
    );

    let sarif = lint("sarif");
    let run = &sarif["runs"][0];
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(run["results"][0]["ruleId"], "unknown-function");
    let region = run["results"][0]["locations"][0]["physicalLocation"]["region"].clone();
    assert_eq!(
        (&region["startColumn"], &region["endColumn"]),
        (&6.into(), &12.into())
    );
}

#[test]
fn code_hosts_get_the_file_as_a_uri() {
    let (_folder, path) = file("é 1%.ctmpl", "{{ if }}");

    let outcome = planescape(&["template", "lint", "--format", "sarif", &path], "");

    let sarif: Value = serde_json::from_str(&outcome.out).unwrap();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    let uri = place["artifactLocation"]["uri"].as_str().unwrap();
    assert!(uri.starts_with('/'), "{uri}");
    assert!(uri.ends_with("/%C3%A9%201%25.ctmpl"), "{uri}");
}

#[test]
fn the_templates_of_an_agents_configuration_are_linted_in_place() {
    let config = "vault { address = \"http://127.0.0.1:8200\" }\ntemplate {\n  contents = <<EOT\n{{ if }}\nEOT\n}\n";
    let (_folder, path) = file("agent.hcl", config);

    let outcome = planescape(&["template", "lint", &path], "");

    assert!(
        outcome.out.starts_with(&format!(
            "{path}:4:7: error[syntax]: missing value for if\n"
        )),
        "{}",
        outcome.out
    );
}

#[test]
fn a_file_that_is_no_manifest_is_a_template() {
    let (_folder, path) = file("app.yaml", "user: {{ env `SHELL_NAME` }}\n");

    let outcome = planescape(&["template", "lint", &path], "");

    assert_eq!(
        (outcome.code, &*outcome.out),
        (Some(0), "0 errors, 0 warnings in 1 template\n")
    );
}

#[test]
fn responses_tell_which_keys_there_are() {
    let responses = r#"{"responses": {"GET a/b": {"data": {"user": "x"}}}}"#;
    let (_folder, path) = file("responses.json", responses);
    let text = "{{ with secret `a/b` }}\n\t{{ .Data.usr }}{{ end }}";

    let outcome = planescape(&["template", "lint", "--responses", &path, "-"], text);

    assert!(
        outcome.out.starts_with(
            "standard input:2:10: warning[missing-key]: the response for `a/b` has no key `usr`\n  \
             |\n2 | \t{{ .Data.usr }}{{ end }}\n  | \t        ^^^^\n  = did you mean `user`?\n"
        ),
        "{}",
        outcome.out
    );
}
