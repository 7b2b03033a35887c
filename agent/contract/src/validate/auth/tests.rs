use crate::validate::tests::{accept, refuse};

#[test]
fn a_token_is_wrapped_for_a_second_at_least() {
    let of_method = r#"
        auto_auth {
          method "kubernetes" { wrap_ttl = "999ms" config { role = "r" } }
          sink "file" { config { path = "/t" } }
        }"#;
    let of_sink = r#"
        auto_auth {
          method "kubernetes" { config { role = "r" } }
          sink "file" { wrap_ttl = "999ms" config { path = "/t" } }
        }"#;

    for (text, field) in [(of_method, "method"), (of_sink, "sink[0]")] {
        let problems = refuse(text);
        let start = format!("auto_auth.{field}.wrap_ttl: is less than a second");
        assert!(problems[0].starts_with(&start), "{problems:?}");
        accept(&text.replace("999ms", "1s"));
    }
}
