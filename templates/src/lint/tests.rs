use super::*;

const RESPONSES: &str = r#"{
    "mounts": {
        "kv/": {"type": "kv", "options": {"version": "2"}},
        "old/": {"type": "kv", "options": {"version": "1"}},
        "database/": {"type": "database"},
        "pki/": {"type": "pki"}
    },
    "responses": {
        "GET kv/data/app": {"data": {"data": {"username": "hunter2", "nested": {"key": "x"}, "url": "a?b&c", "age": 7}, "metadata": {"version": 1}}},
        "GET old/app": {"data": {"user": "svc"}},
        "GET old/odd": {"data": {"data": {"user": "svc"}}},
        "GET database/creds/ro": {"data": {"username": "v-1", "password": "p"}},
        "PUT pki/issue/web": {"data": {"certificate": "c"}},
        "LIST kv/metadata": {"data": {"keys": ["app"]}}
    }
}"#;

#[test]
fn what_does_not_parse_is_one_finding() {
    assert_eq!(
        found("a\n  {{ if }}{{ end }}"),
        ["2:9 syntax: missing value for if"]
    );
    assert_eq!(
        found("{{ b64enc `x` }}"),
        ["1:4 unknown-function: function \"b64enc\" not defined; did you mean `sprig_b64enc`?"]
    );
    assert_eq!(
        found("{{ secert `x` }}"),
        ["1:4 unknown-function: function \"secert\" not defined; did you mean `secret`?"]
    );
}

#[test]
fn a_certificate_has_its_own_fields() {
    assert_eq!(
        found("{{ with pkiCert .path }}{{ .Data.certificate }}{{ .Cert }}{{ .Nope }}{{ end }}"),
        [
            "1:28 secret-field: a certificate has no field `Data`; write `.Cert`",
            "1:62 secret-field: a certificate has no field `Nope`; write `.Cert`, `.Key`, `.CA` or `.CAChain`",
        ]
    );
}

#[test]
fn of_two_equal_fields_the_first_is_pointed_at() {
    assert_eq!(
        found("{{ with secret `kv/data/app` }}{{ .data.data.user }}{{ end }}"),
        ["1:35 secret-field: a secret has no field `data`; did you mean `.Data`?"]
    );
}

#[test]
fn of_very_many_mistakes_some_are_told() {
    assert_eq!(found(&"{{ template `x` }}".repeat(1_000)).len(), MOST);
    assert_eq!(found(&"{{ (secret `x`).nope }}".repeat(1_000)).len(), MOST);
}

#[test]
fn calls_are_tried_until_they_have_cost_enough() {
    let calls =
        |count: usize| "{{ len (sprig_repeat 1000000 `a`) }}".repeat(count) + "{{ parseInt `x` }}";
    assert_eq!(found(&calls(10)).len(), 1);
    assert!(found(&calls(200)).is_empty());
}

#[test]
fn mistakes_are_pointed_at_and_the_cure_is_named() {
    for (text, expected) in [
        (
            "{{ .Data.data.api-key }}",
            "1:18 syntax: bad character U+002D '-'; write `index .Data.data \"api-key\"`",
        ),
        (
            "a\n{{ with .x }}{{ $s.a.b-c }}{{ end }}",
            "2:17 syntax: undefined variable \"$s\"; declare it first, in this block or one around it: `{{ $s := … }}`",
        ),
        (
            "{{ .Data.data[\"x\"] }}",
            "1:14 syntax: bad character U+005B '['; write `index .Data.data \"x\"`",
        ),
        (
            "{{ secret kv/data/app }}",
            "1:13 syntax: bad character U+002F '/'; quote it: `\"kv/data/app\"`",
        ),
        (
            "{{ secret “kv/data/app” }}",
            "1:11 syntax: unrecognized character in action: U+201C '“'; write straight quotes: `\"`",
        ),
        (
            "{{ for x }}{{ end }}",
            "1:4 unknown-function: function \"for\" not defined; write `range`",
        ),
        (
            "{{ with secret `x` | indent 4 }}{{ end }}",
            "1:22 call: indent takes string, and the pipe brings *dependency.Secret",
        ),
        (
            "{{ with secret `x` `foo` }}{{ end }}",
            "1:9 call: error calling secret: not k=v pair \"foo\"; write a parameter as `name=value`, and a field of the secret as `(secret PATH).Data…`",
        ),
        (
            "{{ template `nope` }}",
            "1:13 call: template \"nope\" not defined; define it here: `{{ define \"nope\" }}…{{ end }}`",
        ),
    ] {
        assert_eq!(found(text), [expected], "{text}");
    }
}

#[test]
fn words_of_other_languages_are_answered_with_those_of_templates() {
    for (text, expected) in [
        (
            "{{ secret 'kv/data/app' }}",
            "1:11 syntax: malformed character constant: 'kv/data/app'; write double quotes: `\"kv/data/app\"`",
        ),
        (
            "{{ secret /kv/data/app }}",
            "1:11 syntax: unexpected \"/\" in operand; quote it: `\"/kv/data/app\"`",
        ),
        (
            "{{ if .x == 1 }}{{ end }}",
            "1:10 syntax: unexpected \"=\" in operand; write `eq A B`",
        ),
        (
            "{{ if .x && .y }}{{ end }}",
            "1:10 syntax: unexpected \"&\" in operand; write `and A B`",
        ),
        (
            "{{ if !.x }}{{ end }}",
            "1:7 syntax: unexpected \"!\" in if; write `not A`",
        ),
        (
            "{{ \"a\" + \"b\" }}",
            "1:8 syntax: illegal number syntax: \"+\"; write `add A B` for numbers, `print A B` for texts",
        ),
        (
            "{{ /* x */ }}",
            "1:4 syntax: unexpected \"/\" in command; write `{{/*` and `*/}}` without blanks",
        ),
        (
            "{{-.x}}",
            "1:3 syntax: bad number syntax: \"-.x\"; a blank follows `{{-`",
        ),
        (
            "{{ $x = 1 }}",
            "1:9 call: undefined variable: $x; declare it first, in this block or one around it: `{{ $x := … }}`",
        ),
        (
            "{{ x := 1 }}",
            "1:4 unknown-function: function \"x\" not defined; the name of a variable starts with a dollar: `$x`",
        ),
        (
            "{{ env PATH }}",
            "1:8 unknown-function: function \"PATH\" not defined; quote it: `\"PATH\"`",
        ),
        (
            "{{ tojson .x }}",
            "1:4 unknown-function: function \"tojson\" not defined; did you mean `toJSON`?",
        ),
        (
            "{{ timestamp | add 1 }}",
            "1:16 call: add takes a number, and the pipe brings string",
        ),
    ] {
        assert_eq!(found(text), [expected], "{text}");
    }
}

#[test]
fn calls_that_can_never_succeed_are_found_in_every_branch() {
    for (text, expected) in [
        (
            "{{ toUpper }}",
            "1:4 call: wrong number of args for toUpper: want 1 got 0",
        ),
        (
            "{{ if .x }}{{ toUpper .x 1 }}{{ end }}",
            "1:15 call: wrong number of args for toUpper: want 1 got 2",
        ),
        (
            "{{ .x | indent `2` }}",
            "1:16 call: expected integer; found `2`",
        ),
        (
            "{{ define `a` }}{{ toUpper 5 }}{{ end }}",
            "1:28 call: expected string; found 5",
        ),
        (
            "{{ .x | indent (add 1 1) }}",
            "1:17 call: wrong type for value; expected int; got int64",
        ),
        (
            "{{ $y := divide 0 1 }}",
            "1:10 call: error calling divide: runtime error: integer divide by zero",
        ),
        (
            "{{ print (parseInt `x`) 1 }}",
            "1:11 call: error calling parseInt: parseInt: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "{{ key `a` }}",
            "1:4 call: error calling key: consul functions are not supported by this agent",
        ),
    ] {
        assert_eq!(found(text), [expected], "{text}");
    }
    for text in [
        "{{ if not (env `X`) }}{{ sprig_fail `X is required` }}{{ end }}",
        "{{ range 3 }}{{ . | printf `%d` }}{{ end }}",
        "{{ with $x := secret (print `a/` .y) }}{{ $x.Data.z | toUpper }}{{ end }}",
        "{{ timestamp `unix` }}{{ executeTemplate `nope` }}{{ sprig_list | sprig_first }}",
    ] {
        assert_eq!(found(text), [""; 0], "{text}");
    }
}

#[test]
fn the_versions_of_kv_are_kept_apart() {
    for (text, expected) in [
        (
            "{{ with secret `kv/app` }}{{ .Data.username }}{{ end }}",
            "1:35 kv-data: `kv/app` is KV version 2, whose .Data holds `data` and `metadata`; write `.Data.data.username`",
        ),
        (
            "{{ $s := secret `old/app` }}\n{{ $s.Data.data.user }}",
            "2:11 kv-data: `old/app` is not KV version 2, so its keys are in .Data itself; write `.Data.user`",
        ),
        (
            "{{ (secret `database/creds/ro`).Data.data.username }}",
            "1:37 kv-data: `database/creds/ro` is not KV version 2, so its keys are in .Data itself; write `.Data.username`",
        ),
        (
            "{{ with secret `kv/app` }}{{ range $k, $v := .Data }}{{ end }}{{ end }}",
            "1:36 kv-data: ranges over `data` and `metadata` of a KV version 2 secret; range over `.Data.data`",
        ),
        (
            "{{ range secrets `kv/data/` }}{{ end }}",
            "1:18 kv-path: `kv` is KV version 2, which lists below metadata/, not data/; write `kv`",
        ),
        (
            "{{ with secret `old/data/x` }}{{ end }}",
            "1:16 kv-path: `old` is KV version 1, which has no data/; write `old/x`",
        ),
        (
            "{{ with secret `kc/app` }}{{ end }}",
            "1:16 kv-path: no mount serves `kc/app`; name its mount among the responses' `mounts`",
        ),
    ] {
        assert_eq!(
            linted(text).first().map(String::as_str),
            Some(expected),
            "{text}"
        );
    }
    for text in [
        "{{ with secret `kv/app` }}{{ .Data.data.username }}{{ .Data.metadata.version }}{{ end }}",
        "{{ with secret `old/odd` }}{{ .Data.data.user }}{{ end }}",
        "{{ with secret `pki/issue/web` `ttl=1h` }}{{ .Data.certificate }}{{ end }}",
    ] {
        assert_eq!(linted(text), [""; 0], "{text}");
    }
}

#[test]
fn a_path_with_data_behind_its_mount_is_version_2_unless_the_mounts_say_otherwise() {
    let text = "{{ with secret `kv/data/app` }}{{ .Data.user }}{{ end }}";
    assert!(
        found(text)[0].starts_with("1:40 kv-data"),
        "{:?}",
        found(text)
    );
    assert_eq!(
        found("{{ with secret `kv/app` }}{{ .Data.user }}{{ end }}"),
        [""; 0]
    );
}

#[test]
fn fields_that_no_secret_has_and_keys_that_this_one_lacks_are_found() {
    for (text, expected) in [
        (
            "{{ with secret `kv/app` }}{{ .data.username }}{{ end }}",
            "1:30 secret-field: a secret has no field `data`; did you mean `.Data`?",
        ),
        (
            "{{ with (secret `kv/app`).Data.data }}{{ .usernam }}{{ end }}",
            "1:42 missing-key: the response for `kv/app` has no key `usernam`; did you mean `username`?",
        ),
        (
            "{{ with secret `kv/app` }}{{ if false }}{{ .Data.data.nested.kye }}{{ end }}{{ end }}",
            "1:61 missing-key: the response for `kv/app` has no key `kye`; did you mean `key`?",
        ),
        (
            "{{ with secret `kv/app` }}{{ index .Data.data `nope` }}{{ end }}",
            "1:30 missing-key: {{index .Data.data `nope`}} has no value; `<no value>` is written",
        ),
        (
            "{{ with secret `kv/app` }}{{ .Data.data.username | parseInt }}{{ end }}",
            "1:52 execution: error calling parseInt: parseInt: strconv.ParseInt: parsing [redacted]: invalid syntax",
        ),
        (
            "{{ with secret `kv/other` }}{{ end }}",
            "1:1 missing-response: no response for:\n  GET kv/data/other",
        ),
    ] {
        let found = linted(text);
        assert_eq!(found, [expected], "{text}");
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}

#[test]
fn what_depends_on_the_way_there_is_left_alone() {
    let text = "{{ $s := secret `kv/app` }}{{ if .x }}{{ $s = secret `old/app` }}{{ end }}{{ $s.Data.user }}";
    assert_eq!(found(text), [""; 0]);
}

#[test]
fn cures_are_named_where_the_answer_shows_what_was_meant() {
    for (text, expected) in [
        (
            "{{ with secret `kv/data/app` }}{{ .Data.data | toJSON }}{{ end }}",
            "1:48 escaped-json: toJSON writes `&`, `<` and `>` as `\\u0026`, `\\u003c` and `\\u003e`",
        ),
        (
            "{{ with secret `kv/data/app` }}{{ toJSONPretty .Data.data.url }}{{ end }}",
            "1:35 escaped-json: toJSONPretty writes `&`, `<` and `>` as `\\u0026`, `\\u003c` and `\\u003e`; write `toUnescapedJSONPretty` where what reads it does not parse JSON",
        ),
        (
            "{{ with secret `kv/data/app` }}{{ .Data.data.age | parseInt }}{{ end }}",
            "1:52 execution: wrong type for value; expected string; got json.Number; a number is not a text: write `sprig_int` for it, or `print` before it",
        ),
        (
            "{{ with secret `pki/issue/web` `common_name=x` }}{{ .Data.ca_chain }}{{ end }}",
            "1:58 missing-key: the response for `pki/issue/web` has no key `ca_chain`",
        ),
    ] {
        assert_eq!(linted(text), [expected], "{text}");
    }
    let clean = "{{ with secret `kv/data/app` }}{{ toJSON .Data.data.username }}{{ end }}";
    assert_eq!(linted(clean), [""; 0]);
    let certificate = Responses::from_json(include_bytes!("../reference/responses.json"));
    let text = "{{ with pkiCert `pki/issue/web` `common_name=a.example` }}{{ .ca_chain }}{{ end }}";
    let found = findings(text, Some(&certificate.expect("it is right")));
    assert_eq!(
        found,
        ["1:62 secret-field: a certificate has no field `ca_chain`; write `.CAChain`"]
    );
}

fn found(text: &str) -> Vec<String> {
    findings(text, None)
}

fn linted(text: &str) -> Vec<String> {
    let responses = Responses::from_json(RESPONSES.as_bytes()).expect("it is right");
    findings(text, Some(&responses))
}

fn findings(text: &str, responses: Option<&Responses>) -> Vec<String> {
    let environment = Environment::default();
    let no_files = |_: &str| Err("no files".to_owned());
    let options = Options::default();
    lint(text.as_bytes(), &options, responses, &environment, no_files)
        .into_iter()
        .map(|finding| {
            let place = format!("{}:{}", finding.line, finding.column + 1);
            // The sentence that every finding of a rule has is left out.
            let suggestion = match finding.suggestion {
                usual if usual == finding.rule.remedy() => String::new(),
                own => format!("; {own}"),
            };
            format!(
                "{place} {}: {}{suggestion}",
                finding.rule.name(),
                finding.message
            )
        })
        .collect()
}
