//! Any text and any data in the second language give a result or an error, in bounded time,
//! stack and memory, and no secret in it.

#![cfg(feature = "handlebars")]

use planescape_templates::{
    Answer, Answers, Engine, Environment, Error, ErrorKind, Limits, Options, Pass, Request,
    Template,
};
use planescape_vault::Secret;
use proptest::prelude::*;

#[test]
fn the_guides_example_renders() {
    let guide = include_str!("../../docs/job-management-guide.md");
    let (_, example) = guide
        .split_once("agent-inject-template-app: |\n")
        .expect("it has one");
    let (example, _) = example.split_once("```").expect("it ends");
    let text = example.replace("\n    ", "\n");
    let template = Template::parse(text.trim_start().as_bytes(), &options()).expect("it parses");
    let body =
        br#"{"data": {"data": {"user": "svc", "hosts": ["a", "b"]}, "metadata": {"version": 1}}}"#;
    let mut answers = Answers::new();
    let path = "kv/app".to_owned();
    let secret = Secret::from_json(body).expect("a secret");
    answers.insert(Request::Read { path }, Answer::Secret(Some(secret)));

    let Ok(Pass::Complete(rendered)) = template.render(&answers, &Environment::default()) else {
        panic!("everything is known");
    };

    let rendered = String::from_utf8_lossy(&rendered.text).into_owned();
    let lines: Vec<&str> = rendered.lines().collect();
    let expected = [
        "user = svc",
        "port = 5432",
        "host.0 = a",
        "host.1 = b",
        "debug = false",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn deep_nesting_is_refused_and_not_overflowed() {
    for depth in [50, 1_000, 100_000] {
        let nested = |before: &str, middle: &str, after: &str| {
            [before.repeat(depth), middle.to_owned(), after.repeat(depth)].concat()
        };
        for text in [
            nested("{{#if 1}}", "x", "{{/if}}"),
            nested("{{#if 1}}{{!-- {{/if}} --}}", "x", "{{/if}}"),
            nested("{{#if 1}}\\{{/if}}", "x", "{{/if}}"),
            format!("{{{{{}}}}}", nested("(upper ", "\"x\"", ")")),
            format!("{{{{{}}}}}", nested("(concat \"}}\" ", "\"x\"", ")")),
            format!("{{{{#if 0}}}}{}{{{{/if}}}}", "{{else if 0}}".repeat(depth)),
        ] {
            assert_eq!(
                render_with(&text, &options()).is_ok(),
                depth == 50,
                "{depth} {}",
                &text[..40]
            );
        }
    }
}

#[test]
fn long_texts_are_refused_before_they_take_long() {
    for text in ["{{x}}", "\\{{", "{{!-- x }}", "{{{{raw}}}}{{{{/raw}}}}"] {
        let error = render_with(&text.repeat(10_000), &options()).expect_err(text);
        assert_ne!(error.kind(), ErrorKind::Execute, "{text}");
    }
    let error = render_with(&"x".repeat(300_000), &options()).expect_err("it is too long");
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn endless_work_is_cut_off() {
    let loops = |inner: &str| "{{#each @root.l}}".repeat(12) + inner + &"{{/each}}".repeat(12);
    let replaced = "(replace ".repeat(40) + "s" + &" \"x\" \"xxxxxxxxxx\")".repeat(40);
    let document = format!(
        "{{\"l\": [{}1], \"s\": \"{}\", \"b\": \"{}\", \"n\": {}1{}}}",
        "1,".repeat(40),
        "x".repeat(1_000),
        "YWFh".repeat(150_000),
        "{\"a\":".repeat(100),
        "}".repeat(100)
    );
    let long_path = format!("@root.n{}", ".a".repeat(100));
    for (text, reason) in [
        (loops(""), "rendering takes more than 10000 steps"),
        (loops("{{@root.s}}"), "output is larger than 65536 bytes"),
        (
            loops("{{#if (eq (upper @root.s) 1)}}{{/if}}"),
            "upper: the template does more than 1048576 units of work",
        ),
        (
            format!("{{{{upper {replaced}}}}}"),
            "replace: output is larger than 65536 bytes",
        ),
        (
            format!("{{{{#if (concat{})}}}}{{{{/if}}}}", " s".repeat(100)),
            "concat: output is larger than 65536 bytes",
        ),
        (
            "{{#if (base64_decode b)}}{{/if}}".to_owned(),
            "base64_decode: functions do more than 1048576 units of work",
        ),
        (
            loops(&format!("{{{{#if {long_path}}}}}{{{{/if}}}}")),
            "functions do more than 1048576 units of work",
        ),
    ] {
        let template = Template::parse(text.as_bytes(), &small()).expect("it parses");

        let pass = template.render_with(document.as_bytes(), &answers(), &Environment::default());

        let error = pass.expect_err(reason);
        assert_eq!((error.kind(), error.message()), (ErrorKind::Limit, reason));
    }
}

#[test]
fn errors_and_debug_texts_show_no_secret() {
    for text in [
        "{{#with (secret \"kv/app\")}}{{from_json data.password}}{{/with}}",
        "{{#with (secret \"kv/app\")}}{{base64_decode data.password}}{{/with}}",
        "{{#with (secret \"kv/app\")}}{{#each data.password}}{{/each}}{{/with}}",
        "{{#with (secret \"kv/app\")}}{{kv \"kv/app\" data.password}}{{/with}}",
        "{{#with (secret \"kv/app\")}}{{env data.password}}{{/with}}",
        "{{#with (secret \"kv/app\")}}{{upper data}}{{/with}}",
        "{{#with (secret \"kv/app\")}}{{lt data.password 1}}{{/with}}",
        "{{#with (secret \"kv/app\")}}{{indent \"a\" data.password}}{{/with}}",
    ] {
        let error = render_with(text, &options()).expect_err(text);
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

#[test]
fn one_pass_learns_every_request_that_needs_no_answer() {
    let text = "{{upper (kv \"kv/a\" \"x\")}}{{lt (kv \"kv/b\" \"x\") 3}}{{#with (secret \"kv/c\")}}{{data.x}}{{/with}}\
                {{#each (secrets \"kv/d\")}}{{this}}{{/each}}{{#with (secret \"kv/e\" b=\"2\" a=\"1\")}}{{/with}}{{nothing}}";
    let template = Template::parse(text.as_bytes(), &options()).expect("it parses");

    let pass = template.render(&Answers::new(), &Environment::default());

    let Ok(Pass::Waiting { missing, .. }) = pass else {
        panic!("{pass:?}");
    };
    let paths: Vec<&str> = missing.iter().map(Request::path).collect();
    assert_eq!(paths, ["kv/a", "kv/b", "kv/c", "kv/e", "kv/d"]);
}

#[test]
fn other_delimiters_are_refused() {
    let options = Options {
        left_delimiter: "<<".to_owned(),
        ..options()
    };

    let error = render_with("x", &options).expect_err("it must fail");

    assert_eq!(
        error.message(),
        "handlebars has no delimiters but {{ and }}"
    );
}

#[test]
fn a_denied_helper_is_no_part_of_the_language() {
    let options = Options {
        denied_functions: vec!["env*".to_owned()],
        ..options()
    };

    let error = render_with("{{env \"x\"}}", &options).expect_err("it must fail");

    assert_eq!(error.message(), "helper `env` is disabled");
}

#[test]
fn a_go_template_that_fails_to_parse_points_at_the_other_language() {
    for (text, has_hint) in [
        ("{{#with (secret \"x\") as |s|}}{{/with}}", true),
        ("{{kv \"a\" \"b\"}}", true),
        ("{{ if }}{{ end }}", false),
        ("{{/* a comment }}", false),
    ] {
        let error = Template::parse(text.as_bytes(), &Options::default()).expect_err(text);
        let hint = "; did you mean engine \"handlebars\"?";
        assert_eq!(error.message().ends_with(hint), has_hint, "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_parsed_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Template::parse(&text, &small());
    }

    #[test]
    fn any_tokens_are_parsed_or_refused(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "{{", "}}", "{{{", "}}}", "{{{{", "}}}}", "{{#if ", "{{/if}}", "{{#each ", "{{/each}}", "{{#with ",
                "{{/with}}", "{{else}}", "{{else if ", "{{^}}", "{{{{raw}}}}", "{{{{/raw}}}}", "{{!", "{{!--", "--}}",
                "~", "#", "/", "^", ">", "*", "&", "@", "@index", "@root", "../", "./", "this", ".", "[a b]", "[", "]",
                " ", "\n", "\r\n", "(", ")", "=", "|", " as |x y|", "as", "else", "a", "b.c", "a=1", "1", "-2.5", "0",
                "true", "null", "\"s\"", "'q'", "\"", "'", "\\", "\\\\", "upper ", "concat ", "secret ", "default ", "é",
                "\u{0}", "$", ":", "-",
            ]),
            0..40,
        ),
    ) {
        let _ = render_with(&tokens.concat(), &small());
    }

    #[test]
    fn any_tag_is_parsed_or_refused(
        open in proptest::sample::select(vec!["{{", "{{~", "{{#if ", "{{#each ", "{{else if ", "{{{", "{{&"]),
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "this", "../a", "@index", "@../key", "a.b", "a/b", "[a b]", "a.[b c]", "(upper a)", "(concat a 1)",
                "1", "-2.5", "\"s\"", "'q'", "true", "null", "x=1", "x=(upper a)", "as |x|", "as |x y|", "~", "upper",
                "concat", "secret", "kv", "else", "as", "[1, 2]", "[]", "a-b", "..", ".", "@", "$a", ":a",
            ]),
            0..6,
        ),
        close in proptest::sample::select(vec!["}}", "~}}", "}}}"]),
        rest in proptest::sample::select(vec!["", "{{/if}}", "{{/each}}", "{{else}}x{{/if}}", " \n"]),
    ) {
        let _ = render_with(&format!("{{{{#if a}}}}{open}{}{close}{rest}{{{{/if}}}}", words.join(" ")), &small());
        let _ = render_with(&format!("{open}{}{close}{rest}", words.join(" ")), &small());
    }
}

proptest! {
    #[test]
    fn text_without_braces_is_written_as_it_is(text in "[^{]{0,60}") {
        let Ok(Pass::Complete(rendered)) = render_with(&text, &small()) else {
            panic!("{text:?} is a template");
        };
        prop_assert_eq!(rendered.text.as_bytes(), text.as_bytes());
    }

    #[test]
    fn blocks_in_blocks_are_always_a_template(text in blocks()) {
        let options = Options { error_on_missing_key: false, ..small() };
        let result = render_with(&text, &options);
        prop_assert!(result.is_ok(), "{text:?} {result:?}");
    }
}

/// Correct templates with every sort of tag, trimmed or not.
fn blocks() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "",
        " ",
        "\n",
        "  \n",
        "x",
        " x\n",
        "\\{{x}}",
        "{{a}}",
        "{{~a~}}",
        "{{{a}}}",
        "{{upper (lower \"a\")}}",
        "{{! c }}",
        "{{!-- {{c}} --}}",
        "{{{{raw}}}} {{x}}\n{{{{/raw}}}}",
        "{{concat 1 'b' c}}",
    ]);
    let tilde = || proptest::sample::select(vec!["", "~"]);
    let piece = piece.prop_map(str::to_owned);
    piece.prop_recursive(5, 60, 4, move |inner| {
        let open = proptest::sample::select(vec![
            ("if", "a"), ("if", "1"), ("unless", "a"), ("with", "\"x\" as |v|"), ("each", "a"), ("each", "@root as |v k|"),
        ]);
        let end = proptest::sample::select(vec!["", "{{else}}", "{{~else~}}", "{{else if a}}", "{{~else with \"y\"~}}"]);
        (open, end, tilde(), tilde(), proptest::collection::vec(inner, 1..4)).prop_map(
            |((name, value), end, left, right, parts)| {
                let (last, first) = parts.split_last().expect("there is one");
                let first = first.concat();
                format!("{{{{{left}#{name} {value}{right}}}}}{first}{end}{last}{{{{{right}/{name}{left}}}}}")
            },
        )
    })
}

fn options() -> Options {
    Options {
        engine: Engine::Handlebars,
        error_on_missing_key: true,
        ..Options::default()
    }
}

fn small() -> Options {
    Options {
        limits: Limits {
            iterations: 10_000,
            output: 1 << 16,
            work: 1 << 20,
            ..Limits::default()
        },
        ..options()
    }
}

fn render_with(text: &str, options: &Options) -> Result<Pass, Error> {
    Template::parse(text.as_bytes(), options)?.render(&answers(), &Environment::default())
}

fn answers() -> Answers {
    let body = br#"{"data": {"password": "hunter2-hunter2", "n": 5}}"#;
    let secret = Secret::from_json(body).expect("a secret");
    let mut answers = Answers::new();
    let path = "kv/app".to_owned();
    answers.insert(Request::Read { path }, Answer::Secret(Some(secret)));
    answers
}
