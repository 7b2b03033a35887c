use super::*;
use crate::Kind;

#[test]
fn a_login_without_a_token_is_malformed() {
    assert!(logged_in(br#"{"auth":{"accessor":"a"}}"#).is_err());
    assert!(logged_in(br#"{"auth":{"client_token":["hvs.secret"]}}"#).is_err());
    assert!(logged_in(br#"{"auth":null}"#).is_err());
    assert!(logged_in(b"<html>").is_err());
}

#[test]
fn a_token_is_kept_whatever_stands_beside_it() {
    let odd = [
        r#""accessor":null,"lease_duration":3600,"renewable":true"#,
        r#""accessor":7,"lease_duration":3600.9,"renewable":true"#,
        r#""accessor":{"x":[1]},"lease_duration":"3600","renewable":true"#,
    ];
    for rest in odd {
        let body = format!(r#"{{"auth":{{"client_token":"t",{rest}}}}}"#);

        let login = logged_in(body.as_bytes()).unwrap();

        assert_eq!(login.token.expose(), "t");
        assert_eq!(login.accessor, "");
        assert_eq!(
            login.grant,
            Grant::new(Duration::from_secs(3600), true),
            "{rest}"
        );
    }
    let nothing =
        br#"{"auth":{"client_token":"t","lease_duration":-1,"renewable":"yes"},"renewable":null}"#;
    assert_eq!(
        logged_in(nothing).unwrap().grant,
        Grant::new(Duration::ZERO, false)
    );
}

#[test]
fn a_token_in_its_last_second_is_none_that_never_ends() {
    let ttl = |known: &str| {
        let body = format!(r#"{{"data":{{"id":"t",{known}}}}}"#);
        let token = SecretText::new("t".to_owned());
        looked_up(token, body.as_bytes()).unwrap().grant.ttl()
    };

    assert_eq!(ttl(r#""ttl":0,"expire_time":null"#), Duration::ZERO);
    let last = r#""ttl":0,"expire_time":"2026-11-27T06:58:49Z""#;
    assert_eq!(ttl(last), Duration::from_secs(1));
    let usual = r#""ttl":60,"expire_time":"2026-11-27T06:58:49Z""#;
    assert_eq!(ttl(usual), Duration::from_secs(60));
}

#[test]
fn a_wrapped_answer_is_one_line() {
    let answer = br#"{"wrap_info":{"token":"t","ttl":300}}"#;

    let line = wrapped(answer).unwrap().0;

    assert!(line.starts_with(br#"{"token":"t","accessor":"","ttl":300,"#));
    assert!(line.ends_with(b"}\n"));
}

#[test]
fn an_answer_that_cannot_be_read_is_not_quoted() {
    let error = logged_in(br#"{"auth":"hvs.secret"}"#).unwrap_err();

    assert!(!error.to_string().contains("hvs"), "{error}");
}

#[test]
fn the_first_error_is_one_short_line() {
    let body =
        r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n","x"]}"#;
    assert_eq!(
        first_error(body.as_bytes()),
        "2 errors occurred: * permission denied * invalid token"
    );
    assert_eq!(first_error(b"<html>secret</html>"), "");
    assert_eq!(
        first_error(format!(r#"{{"errors":["{}"]}}"#, "é".repeat(1000)).as_bytes()).len(),
        300
    );
}

#[test]
fn a_deleted_version_is_told_apart_from_nothing() {
    let body = br#"{"data":{"data":null,"metadata":{"deletion_time":"2026-01-02T03:04:05Z","destroyed":false,"version":3}}}"#;
    let refusal = refusal(404, body, None);

    assert_eq!(refusal.kind(), Kind::Deleted);
    assert_eq!(
        refusal.to_string(),
        "vault answered 404: version 3 of the secret was deleted at 2026-01-02T03:04:05Z"
    );
    assert_eq!(
        super::refusal(404, br#"{"errors":[]}"#, None).kind(),
        Kind::NotFound
    );
}

#[test]
fn kv_version_2_wants_its_parameters_wrapped() {
    let fields = [("a".to_owned(), SecretText::new("1".to_owned()))];

    assert_eq!(&*parameters(&fields, false), br#"{"a":"1"}"#);
    assert_eq!(&*parameters(&fields, true), br#"{"data":{"a":"1"}}"#);
}

#[test]
fn a_list_where_an_object_belongs_brings_no_token() {
    let error = logged_in(br#"{"auth": ["hvs.hunter2", "a1"]}"#).unwrap_err();

    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn a_page_of_a_gateway_is_no_word_of_vault() {
    assert!(done(b"").is_ok());
    assert!(done(br#"{"warnings": ["the lease was gone"]}"#).is_ok());
    assert!(done(b"<html>sign in</html>").is_err());
}
