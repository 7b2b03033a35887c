use super::*;

#[test]
fn a_block_with_a_label_and_its_settings() {
    let body = parse("method \"kubernetes\" {\n  mount_path = \"auth/k8s\"\n}\n").unwrap();

    assert_eq!(body[0].key, "method");
    assert_eq!(body[0].labels, ["kubernetes"]);
    assert_eq!(
        field(&body[0], "mount_path"),
        Value::String("auth/k8s".to_owned())
    );
}

#[test]
fn an_assigned_object_is_a_block() {
    assert_eq!(parse("config = { a = 1 }"), parse("config { a = 1 }"));
}

#[test]
fn several_settings_stand_on_one_line_with_or_without_commas() {
    assert_eq!(parse("a = 1, b = 2 c = 3"), parse("a = 1\nb = 2\nc = 3"));
}

/// A template that writes a list leaves some.
#[test]
fn commas_too_many_in_a_list_say_nothing() {
    assert_eq!(parse(r#"a = [, "x",, "y",]"#), parse(r#"a = ["x", "y"]"#));
    assert!(parse(r#"a = ["x" "y"]"#).is_err());
    assert!(parse("a = [,]").is_ok());
}

#[test]
fn numbers_are_decimal_octal_hexadecimal_or_fractions() {
    let body = parse("a = 0640\nb = 0x1F\nc = -3\nd = 0.9\ne = 0").unwrap();

    let values: Vec<_> = body.into_iter().map(|item| item.value).collect();
    assert_eq!(
        values,
        [
            Value::Integer(0o640),
            Value::Integer(31),
            Value::Integer(-3),
            Value::Float(0.9),
            Value::Integer(0)
        ]
    );
}

#[test]
fn comments_of_all_three_kinds_are_skipped() {
    let body = parse("# one\n// two\n/* three\n */ a = true // tail").unwrap();

    assert_eq!(body.len(), 1);
    assert_eq!(body[0].value, Value::Bool(true));
}

#[test]
fn strings_know_gos_escapes() {
    assert_eq!(text(r#"a = "\n\t\"\\\x41\101\u00e9""#), "\n\t\"\\AAé");
}

#[test]
fn an_interpolation_keeps_its_quotes() {
    assert_eq!(text(r#"a = "x ${ f("y") } z""#), r#"x ${ f("y") } z"#);
}

#[test]
fn a_heredoc_keeps_its_lines() {
    assert_eq!(
        text("a = <<EOF\n{{ \"x\" }}\n  two\nEOF\n"),
        "{{ \"x\" }}\n  two\n"
    );
}

#[test]
fn blanks_before_the_marker_belong_to_a_heredoc_that_is_not_indented() {
    assert_eq!(text("a = <<EOF\n  one\n \tEOF\n"), "  one\n \t");
    assert_eq!(text("a = <<EOF\n  EOF x\nEOF \nEOF\n"), "  EOF x\nEOF \n");
}

#[test]
fn an_indented_heredoc_loses_the_indentation_of_its_marker() {
    assert_eq!(
        text("a = <<-EOF\n    one\n      two\n    EOF\n"),
        "one\n  two\n"
    );
}

#[test]
fn an_indented_heredoc_with_a_line_further_left_stays_as_it_is() {
    assert_eq!(
        text("a = <<-EOF\n    one\n  two\n    EOF\n"),
        "    one\n  two\n"
    );
}

#[test]
fn windows_line_ends_are_accepted() {
    let body = parse("a = 1\r\nb {\r\n  c = \"d\"\r\n}\r\n").unwrap();

    assert_eq!(body.len(), 2);
}

#[test]
fn errors_say_line_and_column() {
    let cases = [
        (
            "a = 1\nb = \n",
            (3, 1),
            "expected a value, found the end of the file",
        ),
        ("a = \"x\n", (1, 5), "string is not closed on its line"),
        (
            "vault {\n  a = 1\n",
            (3, 1),
            "expected a key, found the end of the file",
        ),
        ("a [", (1, 3), "expected `=` or `{` after `a`, found `[`"),
        (
            "a = [1 2]",
            (1, 8),
            "expected `,` or `]` in a list, found a number",
        ),
        ("a = <<EOF\nx\n", (1, 5), "heredoc is not closed"),
        ("/* a", (1, 1), "comment is not closed"),
        ("a = 1\n  @", (2, 3), "unexpected character '@'"),
        (
            "method \"a\" = {}",
            (1, 12),
            "expected `=` or `{` after `method`, found `=`",
        ),
    ];
    for (source, (line, column), reason) in cases {
        assert_eq!(
            parse(source),
            Err(SyntaxError {
                line,
                column,
                reason: reason.to_owned()
            }),
            "{source}"
        );
    }
}

#[test]
fn an_argument_is_said_once_and_a_block_as_often_as_needed() {
    let error = parse("a {}\na = {}\nlog = 1\nb { log = 2 }\nlog = 3").unwrap_err();

    assert_eq!((error.line, error.column), (5, 1));
    assert_eq!(
        error.reason,
        "the argument \"log\" was already set: each argument can only be defined once"
    );
}

#[test]
fn a_block_with_an_equals_sign_is_an_argument() {
    for text in [
        "a = {}\na = {}",
        "a = [{}]\na = [{}]",
        "a { b = {} b = {} }",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    assert!(parse("a = {}\na {}\na {}").is_ok());
}

#[test]
fn a_leading_zero_makes_a_number_octal_or_none() {
    for text in ["a = 08", "a = -019", "a = [0640, 0800]"] {
        assert!(parse(text).is_err(), "{text}");
    }
    for text in ["a = 00", "a = 08.5", "a = 0.8"] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    assert!(parse(&"a {".repeat(100_000)).is_err());
    assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
}

fn text(source: &str) -> String {
    match &parse(source).unwrap()[0].value {
        Value::String(text) => text.clone(),
        other => panic!("{} instead of a string", other.kind()),
    }
}

fn field(item: &Item, key: &str) -> Value {
    match &item.value {
        Value::Body(body) => body
            .iter()
            .find(|item| item.key == key)
            .unwrap()
            .value
            .clone(),
        other => panic!("{} instead of a block", other.kind()),
    }
}
