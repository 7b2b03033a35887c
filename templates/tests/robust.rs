//! Any text and any data give a result or an error, in bounded time and memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use planescape_templates::responses::Responses;
use planescape_templates::{
    Answer, Answers, Environment, Error, ErrorKind, Limits, Options, Pass, Request, Template,
};
use planescape_vault::Secret;
use proptest::prelude::*;

fn small() -> Options {
    Options {
        limits: Limits {
            iterations: 10_000,
            output: 1 << 16,
            work: 1 << 20,
            ..Limits::default()
        },
        ..Options::default()
    }
}

fn render_with(text: &[u8], options: &Options) -> Result<Pass, Error> {
    Template::parse(text, options)?.render(&answers(), &Environment::default())
}

fn render(text: &str) -> Result<String, Error> {
    match render_with(text.as_bytes(), &Options::default())? {
        Pass::Complete(rendered) => Ok(String::from_utf8_lossy(&rendered.text).into_owned()),
        Pass::Waiting { missing, .. } => panic!("missing {missing:?}"),
    }
}

fn failure(text: &str) -> Error {
    render(text).expect_err("it must fail")
}

/// A stack as small as the smallest thread that renders.
#[expect(clippy::disallowed_methods, reason = "a test of stacks needs a thread")]
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(if cfg!(debug_assertions) {
        16 << 20
    } else {
        2 << 20
    });
    let thread = thread.spawn(test).expect("a thread starts");
    thread.join().expect("the test ends well");
}

fn answers() -> Answers {
    let body = br#"{"data": {"data": {"password": "hunter2-hunter2", "n": 5}}}"#;
    let secret = Secret::from_json(body).expect("a secret");
    let mut answers = Answers::new();
    let path = "kv/app".to_owned();
    answers.insert(Request::Read { path }, Answer::Secret(Some(secret)));
    answers
}

#[test]
fn what_nests_too_deep_does_not_blame_the_memory() {
    on_a_small_stack(|| {
        let mut narrow = Options::default();
        narrow.limits.memory = 1 << 20;
        let nested =
            "{{$s := sprig_list 1}}{{range 2000}}{{$s = sprig_list $s}}{{end}}{{toJSON $s}}";
        let error = render_with(nested.as_bytes(), &narrow).expect_err("it nests too deep");
        assert!(error.message().contains("nested too deeply"), "{error}");
    });
}

#[test]
fn deep_nesting_is_refused_and_not_overflowed() {
    on_a_small_stack(|| {
        for depth in [100, 1_000, 100_000] {
            let parentheses = format!("{{{{{}1{}}}}}", "(".repeat(depth), ")".repeat(depth));
            let blocks = format!("{}x{}", "{{if 1}}".repeat(depth), "{{end}}".repeat(depth));
            let ranges = format!(
                "{}x{}",
                "{{range 1}}".repeat(depth),
                "{{end}}".repeat(depth)
            );
            let withs = format!("{}x{}", "{{with 1}}".repeat(depth), "{{end}}".repeat(depth));
            let inner = |index| format!("{{{{block \"{index}\" 1}}}}");
            let bodies: String = (0..depth).map(inner).collect();
            let bodies = format!("{bodies}x{}", "{{end}}".repeat(depth));
            let chain = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(depth));
            for text in [parentheses, blocks, ranges, withs, bodies, chain] {
                let result = render_with(text.as_bytes(), &Options::default());
                assert_eq!(result.is_ok(), depth <= 100, "{depth}");
            }
        }
    });
}

#[test]
fn recursion_of_templates_ends_with_an_error() {
    on_a_small_stack(|| {
        let endless = failure(
            "{{define \"a\"}}{{if true}}{{template \"a\" (print .)}}{{end}}{{end}}{{template \"a\"}}",
        );
        assert_eq!(endless.kind(), ErrorKind::Limit);

        let through_a_function =
            failure("{{define \"a\"}}{{executeTemplate \"a\"}}{{end}}{{template \"a\"}}");
        assert_eq!(through_a_function.kind(), ErrorKind::Limit);
    });
}

#[test]
fn nested_data_is_refused_and_not_overflowed() {
    on_a_small_stack(|| {
        for (open, parse) in [
            ("[", "parseJSON"),
            ("{\"a\":", "parseJSON"),
            ("[", "parseYAML"),
            ("- ", "parseYAML"),
        ] {
            let text = format!("{{{{{parse} `{}`}}}}", open.repeat(100_000));
            failure(&text);
        }
        failure(&format!("{{{{regexMatch `{}` `x`}}}}", "(".repeat(100_000)));
    });
}

#[test]
fn endless_work_is_cut_off() {
    let limits = [
        "{{range 1000000000}}{{end}}",
        "{{range loop 1000000000000}}{{end}}",
        "{{$l := split `,` (sprig_repeat 3000 `a,`)}}{{range 4}}{{range $l}}{{end}}{{end}}",
        "{{$s := `x`}}{{range 64}}{{$s = print $s $s}}{{end}}",
        "{{$l := sprig_list 1}}{{range 64}}{{$l = sprig_list $l $l}}{{end}}{{$l}}",
        "{{$l := sprig_list 1}}{{range 64}}{{$l = sprig_list $l $l}}{{end}}{{toJSON $l}}",
        "{{sprig_repeat 1000000000 `abc`}}",
        "{{indent 1000000000 `abc`}}",
        "{{sprig_nindent 1000000000 `abc`}}",
        "{{range $i := 10000}}{{regexMatch (print `\\pL` $i) `a`}}{{end}}",
        "{{range 10000}}{{$x := parseYAML `{a: b}`}}{{end}}",
        "{{regexMatch `((((((a?){0,1000})?)*)*)*)b` (sprig_repeat 50000 `a`)}}",
        "{{sprig_splitList `` (sprig_repeat 60000 `a`)}}",
        "{{len (sprig_until 1000000000)}}",
        "{{range 100000}}{{printf `%999999d` 1}}{{end}}",
        "{{range 1000000}}{{regexMatch `(a*)*b` `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`}}{{end}}",
        "{{replaceAll `` (sprig_repeat 100000 `x`) (sprig_repeat 100000 `y`)}}",
        "{{regexReplaceAll `(a)|b` (sprig_repeat 1000 `$1`) (sprig_repeat 1000 `b`)}}",
        "{{define `a`}}{{executeTemplate `b`}}{{executeTemplate `b`}}{{end}}{{define `b`}}{{end}}{{range 2000}}{{executeTemplate `a`}}{{end}}",
    ];
    for text in limits {
        let error = render_with(text.as_bytes(), &small()).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Limit, "{text}");
    }
}

#[test]
fn each_term_each_field_and_each_float_is_paid_for() {
    let terms = format!(
        "{{{{range 9000}}}}{{{{if and{}}}}}{{{{end}}}}{{{{end}}}}",
        " 1".repeat(200)
    );
    let fields = format!(
        "{{{{$s := sprig_dict}}}}{{{{range 100}}}}{{{{$s = sprig_dict `a` $s}}}}{{{{end}}}}{{{{range 9000}}}}{{{{$x := $s{}}}}}{{{{end}}}}",
        ".a".repeat(100)
    );
    let keys = format!(
        "{{{{$s := sprig_dict}}}}{{{{range 2000}}}}{{{{$x := sprig_dig{} 1 $s}}}}{{{{end}}}}",
        " `a`".repeat(100)
    );
    let floats = "{{range 4000}}{{$x := print 1.5e-300}}{{end}}".to_owned();
    let digits = "{{range 100}}{{$x := printf `%.500f` 1.5}}{{end}}".to_owned();
    let parentheses = format!(
        "{{{{range 9000}}}}{{{{{}1{}}}}}{{{{end}}}}",
        "(".repeat(100),
        ")".repeat(100)
    );
    for text in [terms, fields, keys, floats, digits, parentheses] {
        let error = render_with(text.as_bytes(), &small()).expect_err(&text);
        assert_eq!(error.kind(), ErrorKind::Limit, "{text}");
    }
}

#[test]
fn a_message_repeats_no_more_of_a_value_than_people_read() {
    for call in ["parseInt $t", "sprig_fail $t", "parseBool $t"] {
        let error = failure(&format!(
            "{{{{$t := sprig_repeat 1000000 `a`}}}}{{{{{call}}}}}"
        ));
        let length = error.to_string().len();
        assert!((10_000..100_000).contains(&length), "{call}: {length}");
    }
}

#[test]
fn a_message_of_templates_in_templates_has_both_its_ends() {
    on_a_small_stack(|| {
        let call = format!("{{{{executeTemplate `a` `{}`}}}}", "b".repeat(90_000));
        let error = failure(&format!("{{{{define `a`}}}}{call}{{{{end}}}}{call}"));
        let message = error.message();
        assert!(message.len() < 100_000, "{}", message.len());
        assert!(message.starts_with("error calling executeTemplate: template: :1:"));
        assert!(
            message.ends_with("levels") || message.ends_with(')'),
            "{message}"
        );
    });
}

#[test]
fn what_is_compared_is_paid_for() {
    let start = "{{$w := sprig_repeat 1000 `a`}}{{$d := sprig_dict}}{{range $i := loop 60}}{{$_ := sprig_set $d (print $w $i) 1}}{{end}}";
    let texts =
        "{{$w := sprig_repeat 1000 `a`}}{{$l := split `,` (sprig_repeat 50 (print $w `x,`))}}";
    for (before, call) in [
        (start, "sprig_deepEqual $d $d"),
        (start, "sprig_deepCopy $d"),
        (start, "sprig_merge (sprig_dict) $d"),
        (texts, "sprig_deepEqual $l $l"),
        (texts, "in $l (print $w `y`)"),
        (texts, "sprig_uniq $l"),
    ] {
        let text = format!("{before}{{{{range 30}}}}{{{{$x := {call}}}}}{{{{end}}}}");
        let error = render_with(text.as_bytes(), &small()).expect_err(&text);
        assert_eq!(error.kind(), ErrorKind::Limit, "{text}");
    }
}

/// Limits under which a pass may hold little and do much.
fn narrow(memory: usize) -> Options {
    Options {
        limits: Limits {
            memory,
            ..Limits::default()
        },
        ..Options::default()
    }
}

#[test]
fn what_a_pass_gathers_takes_of_its_memory() {
    let asks = "{{range $i := loop 1000}}{{with secret (print `a/` $i)}}{{end}}{{end}}";
    let Ok(Pass::Waiting { missing, .. }) = render_with(asks.as_bytes(), &narrow(1 << 18)) else {
        panic!("answers are missing");
    };
    assert!((100..500).contains(&missing.len()), "{}", missing.len());

    let writes = "{{range 10000}}{{writeToFile `/x` `` `` `0600` `y`}}{{end}}";
    let copies = "{{$t := sprig_repeat 100000 `a`}}{{range 10}}{{writeToFile `/x` `` `` `0600` `newline` $t}}{{end}}";
    let paths = "{{len (explodeMap (sprig_dict (sprig_repeat 1000 `a/`) 1))}}";
    for text in [writes, copies, paths] {
        let error = render_with(text.as_bytes(), &narrow(1 << 19)).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Limit, "{text}");
    }
}

#[test]
fn no_function_makes_a_longer_text_than_others_may() {
    for text in [
        "{{len (regexReplaceAll `a` (sprig_repeat 1000 `b`) (sprig_repeat 100000 `a`))}}",
        "{{len (sprig_seq 1 9000000)}}",
        "{{len (sprig_wrapWith 1 (sprig_repeat 100000 `b`) (sprig_repeat 1000 `a`))}}",
    ] {
        let error = failure(text);
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    }
}

#[test]
fn what_is_held_while_others_run_is_counted_and_given_back() {
    let entries: String = (0..1_000).map(|n| format!("\"k{n}\":1,")).collect();
    let map = format!("{{{{$m := parseJSON `{{{entries}\"z\":1}}`}}}}");
    let held = [
        format!(
            "{{{{define `a`}}}}{}{{{{executeTemplate `a`}}}}{{{{end}}}}{{{{template `a`}}}}",
            "x".repeat(100_000)
        ),
        format!(
            "{map}{{{{define `a`}}}}{{{{$d := .}}}}{{{{range $d}}}}{{{{template `a` $d}}}}{{{{end}}}}{{{{end}}}}{{{{template `a` $m}}}}"
        ),
    ];
    for text in held {
        let error = render_with(text.as_bytes(), &narrow(1 << 20)).expect_err(&text);
        assert!(error.message().contains("bytes of memory"), "{error}");
    }

    let given_back = [
        format!(
            "{{{{define `a`}}}}{{{{end}}}}{}{{{{range 100}}}}{{{{executeTemplate `a`}}}}{{{{end}}}}",
            "x".repeat(100_000)
        ),
        format!("{map}{{{{range 100}}}}{{{{range $m}}}}x{{{{end}}}}{{{{end}}}}"),
    ];
    for text in given_back {
        let outcome = render_with(text.as_bytes(), &narrow(1 << 20));
        assert!(matches!(outcome, Ok(Pass::Complete(_))), "{outcome:?}");
    }
}

#[test]
fn a_place_without_a_value_is_told_once_and_of_many_places_some_are() {
    let warned = |text: &str| {
        let pass = render_with(text.as_bytes(), &Options::default());
        let Ok(Pass::Complete(rendered)) = pass else {
            panic!("{pass:?}");
        };
        rendered.warnings.len()
    };
    assert_eq!(warned("{{range 1000}}{{(sprig_dict).x}}{{end}}"), 1);
    assert_eq!(warned(&"{{(sprig_dict).x}}".repeat(1_000)), 100);
}

#[test]
fn a_pattern_of_more_states_than_are_kept_finds_the_same() {
    // A match ends twelve characters behind the last `a` that has so many behind it.
    let mut random = 1u64;
    let text: String = (0..200_000)
        .map(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            if random >> 63 == 1 { 'a' } else { 'b' }
        })
        .collect();
    let last = text[..text.len() - 12].rfind('a').expect("there is one");
    let variables = BTreeMap::from([("TEXT".to_owned(), text.clone())]);
    let environment = Environment {
        variables: Arc::new(variables),
        ..Environment::default()
    };
    let template = "{{regexReplaceAll `[ab]*a[ab]{12}` `-` (env `TEXT`)}}";
    let template = Template::parse(template.as_bytes(), &Options::default()).expect("it parses");
    let pass = template.render(&Answers::new(), &environment);
    let Ok(Pass::Complete(rendered)) = pass else {
        panic!("{pass:?}");
    };
    let expected = format!("-{}", &text[last + 13..]);
    assert_eq!(String::from_utf8_lossy(&rendered.text), expected);
}

#[test]
fn groups_are_found_in_long_matches_as_in_short_ones() {
    for count in [3, 300_000] {
        let template = "{{$t := print (sprig_repeat COUNT `a`) `b`}}{{$x := regexReplaceAll `(a*)(a)(b)` `$3$2$1` $t}}\
                        {{len $x}} {{slice $x 0 2}} {{eq $x (print `b` (sprig_repeat COUNT `a`))}}";
        let text = template.replace("COUNT", &count.to_string());
        let expected = format!("{} ba true", count + 1);
        assert_eq!(render(&text).expect("it renders"), expected);
    }
}

#[test]
fn values_nest_as_deep_as_a_template_makes_them() {
    on_a_small_stack(|| {
        let nested = "{{$s := sprig_list 1}}{{range 200000}}{{$s = sprig_list $s}}{{end}}done";
        assert_eq!(render(nested).as_deref(), Ok("done"));

        let pair = "{{$s := sprig_list 1}}{{$t := sprig_list 1}}{{range 50000}}{{$s = sprig_list $s}}{{$t = sprig_list $t}}{{end}}{{sprig_deepEqual $s $t}}";
        assert_eq!(render(pair).as_deref(), Ok("true"));
    });
}

#[test]
fn shared_values_are_looked_at_once_or_refused() {
    let twice =
        "{{range 64}}{{$s = sprig_dict `a` $s `b` $s}}{{$t = sprig_dict `a` $t `b` $t}}{{end}}";
    let start = "{{$s := sprig_dict `a` 1}}{{$t := sprig_dict `a` 1}}";
    let equal = render(&format!("{start}{twice}{{{{sprig_deepEqual $s $t}}}}"));
    assert_eq!(equal.as_deref(), Ok("true"));

    let set = render(&format!("{start}{twice}{{{{len (sprig_set $s `c` $t)}}}}"));
    assert_eq!(set.as_deref(), Ok("3"));

    let options = small();
    for call in ["sprig_deepCopy $s", "mergeMap $s $t"] {
        let text = format!("{start}{twice}{{{{len ({call})}}}}");
        let error = render_with(text.as_bytes(), &options).expect_err(call);
        assert_eq!(error.kind(), ErrorKind::Limit, "{call}");
    }
}

#[test]
fn shared_and_nested_lists_are_refused_as_toml() {
    on_a_small_stack(|| {
        for text in [
            "{{$s := sprig_list 1}}{{range 100000}}{{$s = sprig_list $s}}{{end}}{{toTOML $s}}",
            "{{$s := sprig_list 1}}{{range 64}}{{$s = sprig_list $s $s}}{{end}}{{toTOML $s}}",
        ] {
            let error = failure(text);
            assert_eq!(error.kind(), ErrorKind::Limit, "{text}");
        }
        // The original takes the text behind for a key, though its place has passed.
        let _ = render("{{parseYAML \"[]:\\t\"}}");
    });
}

#[test]
fn text_of_every_kind_is_copied_or_refused() {
    let taken = [
        ("a\r\nb{{1}}\r\n", "a\r\nb1\r\n"),
        ("\0{{\"\0\"}}\0", "\0\0\0"),
        ("{{`a\r\nb`}}", "a\nb"),
    ];
    for (text, expected) in taken {
        assert_eq!(render(text).as_deref(), Ok(expected));
    }
    let invalid = b"\xff\xc3{{print \"\\xff\"}}\xe2\x82";
    let Ok(Pass::Complete(rendered)) = render_with(invalid, &Options::default()) else {
        panic!("bytes that are no text are copied");
    };
    assert_eq!(&*rendered.text, b"\xff\xc3\xff\xe2\x82");

    for broken in ["{{ .x", "{{/* x", "{{\"x", "{{\0}}", "{{\u{a0}}}"] {
        assert_eq!(failure(broken).kind(), ErrorKind::Parse, "{broken:?}");
    }
}

#[test]
fn what_is_too_large_is_a_limit_and_not_a_mistake() {
    let large = [
        format!("{{{{regexMatch `{}` ``}}}}", "(a{100}){10}".repeat(400)),
        "{{printf `%1000000d` 1 | printf `%s%[1]s%[1]s%[1]s` | len}}".to_owned(),
        format!("{{{{print `{}`}}}}", "x".repeat(100_000)),
    ];
    for text in large {
        let error = render_with(text.as_bytes(), &small()).expect_err("it is too large");
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    }
    let long = "x".repeat(Limits::default().source + 1);
    assert_eq!(failure(&long).kind(), ErrorKind::Limit);
}

#[test]
fn a_map_cannot_contain_itself() {
    let error = failure("{{$m := sprig_dict}}{{$_ := sprig_set $m `a` (sprig_list $m)}}{{$m}}");
    assert_eq!(
        error.message(),
        "error calling sprig_set: a map cannot contain itself"
    );
}

#[test]
fn errors_and_debug_texts_show_no_secret() {
    let telling = [
        "{{with secret `kv/app`}}{{parseInt .Data.data.password}}{{end}}",
        "{{with secret `kv/app`}}{{sprig_fail (base64Encode .Data.data.password)}}{{end}}",
        "{{with secret `kv/app`}}{{range .}}{{end}}{{end}}",
        "{{with secret `kv/app`}}{{add .Data.data.password 1}}{{end}}",
        "{{with secret `kv/app`}}{{eq .Data .Data}}{{end}}",
        "{{with secret `kv/app`}}{{regexMatch (print `(` .Data.data.password) ``}}{{end}}",
    ];
    for text in telling {
        let error = failure(text);
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(
                !shown.contains("hunter2") && !shown.contains("aHVudGVy"),
                "{shown}"
            );
        }
    }
    assert!(!format!("{:?}", answers()).contains("hunter2"));
}

#[test]
fn a_failing_pass_waits_while_something_is_missing() {
    let template = Template::parse(
        b"{{(secret `kv/new`).Data.data.key | base64Decode}}",
        &Options::default(),
    )
    .expect("it parses");

    let pass = template.render(&Answers::new(), &Environment::default());

    let Ok(Pass::Waiting { missing, .. }) = pass else {
        panic!("{pass:?}");
    };
    let shown: Vec<String> = missing.iter().map(Request::to_string).collect();
    assert_eq!(shown, ["vault.read(kv/new)"]);
}

#[test]
fn denied_functions_fail_only_when_they_are_called() {
    let options = Options {
        denied_functions: vec!["sprig_*".to_owned(), "env".to_owned()],
        ..Options::default()
    };
    let dead = render_with(b"{{if false}}{{env `x`}}{{end}}ok", &options);
    assert!(matches!(dead, Ok(Pass::Complete(_))));

    let error = render_with(b"{{sprig_upper `x`}}", &options).expect_err("it is denied");
    assert!(error.message().ends_with("function is disabled"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_parsed_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = render_with(&text, &small());
    }

    #[test]
    fn any_tokens_are_parsed_or_refused(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "{{", "}}", "{{-", "-}}", " ", "\n", "(", ")", "|", ".", ".a", "$", "$x", ":=", "=", ",", "\"s\"",
                "`r`", "'c'", "1", "-2", "1.5", "1e9", "0x", "nil", "true", "if", "else", "end", "range", "with",
                "define", "block", "template", "break", "continue", "print", "printf", "index", "secret", "/*", "*/",
                "sprig_dict", "parseJSON", "parseYAML", "regexReplaceAll", "é", "\u{0}", "%5.3v", "toYAML", "\\",
            ]),
            0..40,
        ),
    ) {
        let _ = render_with(tokens.concat().as_bytes(), &small());
    }

    #[test]
    fn any_answers_are_read_or_refused(
        body in "[-a-z0-9:\\[\\]{},\" .]{0,60}",
        call in "(GET|PUT|LIST|get|) ?(kv/data/app|kv/|kv/metadata|pki/issue/web)?( |\\?|/)?[a-z={}\\\\]{0,6}",
        mounts in "(\\{\\}|\\{\"kv/\": \\{\"type\": \"[a-z]{0,3}\"\\}\\}|[\\[\\]{}\":a-z]{0,9})",
        status in 0u16..700,
    ) {
        let text = "{{with secret `kv/app`}}{{.Data.data.user}}{{toYAML .}}{{end}}{{range secrets `kv/`}}{{.}}{{end}}\
                    {{with secret `pki/issue/web` `a=b`}}{{toJSON .}}{{end}}";
        let template = Template::parse(text.as_bytes(), &small()).expect("it parses");
        for body in [
            body.clone(),
            format!("{{\"data\": {body}}}"),
            format!("{{\"data\": {{\"keys\": {body}, \"data\": {{\"user\": {body}}}}}}}"),
            format!("{{\"status\": {status}, \"errors\": {body}}}"),
        ] {
            let document = format!("{{\"mounts\": {mounts}, \"responses\": {{\"{call}\": {body}}}}}");
            if let Ok(responses) = Responses::from_json(document.as_bytes()) {
                let _ = responses.render(&template, &Environment::default(), |_| Err("no files".into()));
            }
        }
    }

    #[test]
    fn any_document_is_read_or_refused(text in "[-a-z0-9:\\[\\]{},&*!|>'\"#%\n \t?~.<]{0,80}") {
        let call = |function: &str| {
            let mut variables = BTreeMap::new();
            variables.insert("TEXT".to_owned(), text.clone());
            let variables = Arc::new(variables);
            let environment = Environment { variables, ..Environment::default() };
            let source = format!("{{{{{function}}}}}");
            let template = Template::parse(source.as_bytes(), &small()).expect("it parses");
            let _ = template.render(&Answers::new(), &environment);
        };
        call("env `TEXT` | parseYAML | toYAML");
        call("env `TEXT` | parseJSON | toTOML");
        call("regexReplaceAll (env `TEXT`) `$1` (env `TEXT`)");
        call("printf (env `TEXT`) 1 `x` 2.5 nil");
        call("sprig_toDate (env `TEXT`) (env `TEXT`)");
        call("sprig_semverCompare (env `TEXT`) (env `TEXT`)");
        call("sprig_urlParse (env `TEXT`)");
        call("sprig_dict (env `TEXT`) (env `TEXT`) | toYAML");
    }
}
