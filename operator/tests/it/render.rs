//! `planescape template render`.

use super::{Outcome, file, planescape};

const RESPONSES: &str = r#"{
    "mounts": {"kv/": {"type": "kv", "options": {"version": "2"}}},
    "responses": {
        "GET kv/data/app": {"data": {"data": {"user": "svc", "port": 5432}, "metadata": {"version": 1}}},
        "LIST kv/metadata/": {"data": {"keys": ["app", "new"]}},
        "GET kv/data/denied": {"status": 403, "errors": ["permission denied"]}
    }
}"#;

#[test]
fn the_text_and_nothing_else_is_printed() {
    let text = "{{ with secret `kv/app` }}{{ .Data.data.user }}:{{ .Data.data.port }}{{ end }}";

    let outcome = render(text, &[]);

    assert_eq!((outcome.code, &*outcome.out), (Some(0), "svc:5432"));
    assert_eq!(outcome.errors, "");
}

#[test]
fn variables_come_from_outside_unless_they_are_given() {
    let text = "{{ env `SHELL_NAME` }}, {{ env `A` }}";

    let outcome = render(text, &["--env", "A=b=c"]);

    assert_eq!(outcome.out, "from outside, b=c");
    assert_eq!(render(text, &["--env", "SHELL_NAME="]).out, ", ");
}

#[test]
fn every_missing_response_is_named() {
    let text = "{{ secret `kv/x` }}{{ secret `pki/issue/web` `ttl=1h` }}\
                {{ range secrets `kv` }}{{ secret (print `kv/` .) }}{{ end }}";

    let outcome = render(text, &[]);

    assert_eq!((outcome.code, &*outcome.out), (Some(3), ""));
    assert_eq!(
        outcome.errors,
        "planescape: standard input: no response for:\n  \
         GET kv/data/new\n  GET kv/data/x\n  PUT pki/issue/web (with ttl)\n"
    );
}

#[test]
fn what_fails_says_where_in_one_message() {
    for (text, arguments, code, expected) in [
        (
            "a\n{{ if }}",
            &[][..],
            1,
            "template: :2: missing value for if",
        ),
        (
            "{{ secret `kv/denied` }}",
            &[],
            1,
            "GET kv/data/denied: vault answered 403: permission denied",
        ),
        (
            "{{ with secret `kv/app` }}{{ .Data.x }}{{ end }}",
            &["--error-on-missing-key"],
            1,
            "no entry for key \"x\"",
        ),
        (
            "{{ file `/nowhere` }}",
            &[],
            1,
            "file /nowhere: No such file",
        ),
        ("", &["--env", "A"], 2, "write NAME=VALUE"),
        (
            "",
            &["--responses", "/nowhere"],
            2,
            "cannot be used multiple times",
        ),
    ] {
        let outcome = render(text, arguments);
        assert_eq!((outcome.code, &*outcome.out), (Some(code), ""), "{text}");
        assert!(outcome.errors.contains(expected), "{}", outcome.errors);
    }
}

#[test]
fn a_value_that_is_not_there_is_warned_of() {
    let outcome = render(
        "{{ with secret `kv/app` }}\n {{ .Data.user }}{{ end }}",
        &[],
    );

    assert_eq!((outcome.code, &*outcome.out), (Some(0), "\n <no value>"));
    assert!(
        outcome.errors.starts_with("warning: standard input:2:"),
        "{}",
        outcome.errors
    );
}

#[test]
fn handlebars_is_chosen_and_is_strict_unless_told_otherwise() {
    let text =
        "{{kv `kv/app` `user`}} {{#with (secret 'kv/app')}}{{data.port}} {{data.x}}.{{/with}}";
    let text = text.replace('`', "\"");
    let handlebars = ["--engine", "handlebars"];

    let strict = render(&text, &handlebars);
    assert_eq!(
        (strict.code, &*strict.out),
        (Some(1), ""),
        "{}",
        strict.errors
    );

    let lenient = [&handlebars[..], &["--error-on-missing-key=false"]].concat();
    let lenient = render(&text, &lenient);
    assert_eq!(lenient.out, "svc 5432 .", "{}", lenient.errors);
}

#[test]
fn custom_delimiters_leave_the_usual_ones_alone() {
    let delimiters = ["--left-delimiter", "<<", "--right-delimiter", ">>"];
    assert_eq!(render("<< 1 >> {{ 2 }}", &delimiters).out, "1 {{ 2 }}");
}

fn render(text: &str, arguments: &[&str]) -> Outcome {
    let (_folder, responses) = file("responses.json", RESPONSES);
    let fixed = [
        "template",
        "render",
        "--template",
        "-",
        "--responses",
        &responses,
    ];
    planescape(&[&fixed, arguments].concat(), text)
}
