//! Many requests, slow ones, and what an answer that changes nothing does.

use std::time::Duration;

use planescape_templates::{Answer, Request};
use planescape_vault::{Call, Error, Refusal, SecretText, Text};

use super::world::*;
use crate::command::{Command, Notice};
use crate::input::Input;

#[test]
fn one_look_up_serves_all_paths_of_a_mount() {
    let texts: Vec<String> = (0..50)
        .map(|n| format!(r#"{{{{ with secret "kv/{n}" }}}}{{{{ .Data }}}}{{{{ end }}}}"#))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut world = World::new(&texts);
    world.step();
    world.log_in("t1", 3600);

    let asked = world.step();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let path = asked[0].split(' ').nth(3).unwrap().to_owned();
    world.find_mount(&path, "kv");

    let reads = world.step();
    assert_eq!(reads.len(), 10, "{reads:?}");
    assert!(
        reads.iter().all(|it| it.starts_with("get kv/")),
        "{reads:?}"
    );
}

#[test]
fn a_renewal_waits_for_no_slow_read() {
    let slow = (0..12).map(|n| format!(r#"{{{{ with secret "kv/{n}" }}}}x{{{{ end }}}}"#));
    let texts: Vec<String> = std::iter::once(DATABASE.to_owned()).chain(slow).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut world = World::build(&texts, |start| {
        start.config.planescape.give_up_after = None;
        start.config.template_config.max_connections = 3.try_into().unwrap();
    });
    world.step();
    world.log_in("t1", 3600);
    let mut hanging = 0;
    for _ in 0..5 {
        for step in world.step() {
            if let Some(path) = step.strip_prefix("find mount of ") {
                world.find_mount(path.split(' ').next().unwrap(), "kv");
            } else if step.starts_with("get database") {
                world.answer("database/creds/ro", CREDENTIALS);
            } else if step.starts_with("get kv/") {
                hanging += 1;
            }
        }
    }
    assert_eq!(hanging, 3);

    world.pass(Duration::from_secs(65));

    let steps = world.step();
    assert!(
        steps.contains(&"renew lease database/creds/ro/1 as t1".to_owned()),
        "{steps:?}"
    );
}

#[test]
fn an_engine_that_answers_no_read_keeps_no_other_one_from_being_read() {
    let mut world = with_two_engines();
    let mut asked = Vec::new();

    for _ in 0..5 {
        for step in world.step() {
            match path_of(&step, "find mount of ") {
                Some(path) => world.find_mount(path, "database"),
                None => asked.push(step),
            }
        }
    }

    assert!(
        asked.contains(&"get database/creds/ro as t1".to_owned()),
        "{asked:?}"
    );
}

#[test]
fn an_engine_that_answers_no_renewal_keeps_no_other_one_from_being_renewed() {
    let mut world = with_two_engines();
    for _ in 0..20 {
        for step in world.step() {
            if let Some(path) = path_of(&step, "find mount of ") {
                world.find_mount(path, "database");
            } else if let Some(path) = path_of(&step, "get ") {
                let credentials = CREDENTIALS.replace("database/creds/ro", path);
                let life = if path.starts_with("slow") { "60" } else { "90" };
                world.answer(path, &credentials.replace("90", life));
            }
        }
    }
    let renewals = |world: &mut World, engine: &str| {
        let prefix = format!("renew lease {engine}/");
        let steps = world.step().into_iter();
        steps.filter(|step| step.starts_with(&prefix)).count()
    };

    world.pass(Duration::from_secs(45));
    assert_eq!(renewals(&mut world, "slow"), 3, "nobody else waits");
    world.pass(Duration::from_secs(20));
    assert_eq!(renewals(&mut world, "database"), 1);
}

/// Twelve secrets of one engine and one of another, with three turns.
fn with_two_engines() -> World {
    let slow = (0..12).map(|n| format!(r#"{{{{ with secret "slow/{n}" }}}}x{{{{ end }}}}"#));
    let texts: Vec<String> = slow.chain([DATABASE.to_owned()]).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut world = World::build(&texts, |start| {
        start.config.planescape.give_up_after = None;
        start.config.template_config.max_connections = 3.try_into().unwrap();
    });
    world.step();
    world.log_in("t1", 3600);
    world
}

/// The path in a step that begins so.
fn path_of<'a>(step: &'a str, begin: &str) -> Option<&'a str> {
    step.strip_prefix(begin)?.split(' ').next()
}

#[test]
fn an_empty_answer_to_a_read_makes_no_empty_file() {
    let mut world = World::new(&[r#"{{ with secret "kv/a" }}{{ .Data.n }}{{ end }}"#]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    // A gateway in front of Vault lets this through to nobody.
    world.fail_mount("kv/a", &denied("method not allowed", 405));
    assert_eq!(world.step(), ["get kv/a as t1"]);

    world.empty("kv/a");

    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_millis(250));
    assert_eq!(world.step(), ["find mount of kv/a as t1"]);
}

#[test]
fn a_version_that_is_deleted_makes_no_file() {
    for (time, steps) in [
        ("2026-01-01T00:00:00Z", &[][..]),
        ("2028-01-01T00:00:00Z", &["write template 0: x"]),
        ("", &["write template 0: x"]),
    ] {
        let mut world = World::new(&[r#"{{ with secret "kv/a" }}x{{ end }}"#]);
        world.step();
        world.log_in("t1", 3600);
        world.step();
        world.find_mount("kv/a", "kv");
        world.step();

        let metadata = format!(r#"{{"deletion_time":"{time}","version":2}}"#);
        world.answer(
            "kv/a",
            &format!(r#"{{"data":{{"data":null,"metadata":{metadata}}}}}"#),
        );

        assert_eq!(world.step(), steps, "{time}");
    }
}

#[test]
fn what_is_written_to_vault_are_the_parameters_of_the_text() {
    let text = r#"{{ with secret "pki/issue/web" "common_name=a" "ttl=1h" }}x{{ end }}"#;
    let mut world = World::new(&[text]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("pki/issue/web", "pki");

    assert_eq!(world.step(), ["put pki/issue/web as t1"]);
    let Some(Command::Read { call, .. }) = world.pending.first() else {
        panic!("{:?}", world.pending);
    };
    let parameters = [("common_name", "a"), ("ttl", "1h")];
    let parameters =
        parameters.map(|(key, value)| (key.to_owned(), SecretText::new(value.to_owned())));
    let expected = Call::Put {
        path: "pki/issue/web".to_owned(),
        parameters: parameters.to_vec(),
        wrapped: false,
    };
    assert_eq!(*call, expected);
}

#[test]
fn a_mount_that_vault_refuses_to_name_is_read_and_one_that_it_cannot_name_is_asked_for_again() {
    for (failure, is_read) in [
        (denied("method not allowed", 405), true),
        (denied("permission denied", 403), true),
        (denied("", 404), true),
        (denied("", 429), false),
        (denied("cannot write to readonly storage", 400), false),
        (denied("Vault is sealed", 503), false),
        (denied("internal error", 500), false),
        (down(), false),
    ] {
        let mut world = World::new(&[r#"{{ with secret "kv/a" }}x{{ end }}"#]);
        world.step();
        world.log_in("t1", 3600);
        world.step();

        world.fail_mount("kv/a", &failure);

        let at_once: &[&str] = if is_read { &["get kv/a as t1"] } else { &[] };
        assert_eq!(world.step(), at_once, "{failure}");
        if !is_read {
            world.pass(Duration::from_millis(250));
            assert_eq!(world.step(), ["find mount of kv/a as t1"], "{failure}");
        }
    }
}

#[test]
fn a_secret_that_fits_no_text_is_read_again_until_somebody_has_mended_it() {
    const TEXT: &str = r#"{{ with secret "kv/a" }}{{ parseInt .Data.n }}{{ end }}"#;
    let mut world = World::build(&[TEXT, DATABASE], |start| {
        start.config.template_config.exit_on_retry_failure = false;
        start.config.planescape.give_up_after = None;
    });
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.find_mount("kv/a", "kv");
    world.step();
    world.answer("database/creds/ro", CREDENTIALS);
    world.answer("kv/a", r#"{"data": {"n": "one"}}"#);
    world.step();

    for wait in [1, 2, 4, 8] {
        world.pass(Duration::from_millis(wait * 1000 * 3 / 4 - 1));
        assert!(!world.step().contains(&"get kv/a as t1".to_owned()));
        world.pass(Duration::from_millis(wait * 1000 / 4 + 1));
        assert_eq!(world.step(), ["get kv/a as t1"], "after {wait} s");
        world.answer("kv/a", r#"{"data": {"n": "one"}}"#);
        world.step();
    }
    world.pass(Duration::from_secs(16));
    world.step();
    world.answer("kv/a", r#"{"data": {"n": "1"}}"#);

    assert_eq!(world.step(), ["write template 0: 1"]);
    world.written();
    world.pass(Duration::from_secs(64));
    assert!(!world.step().contains(&"get kv/a as t1".to_owned()));
}

#[test]
fn an_answer_that_says_what_the_last_one_said_renders_nothing() {
    let mut world = World::ready(&[
        r#"{{ with secret "database/creds/ro" }}{{ .Data.a }}{{ timestamp }}{{ end }}"#,
    ]);
    world.pass(Duration::from_secs(65));
    world.step();
    world.fail_lease(&denied("lease not found", 400));
    assert_eq!(world.step(), ["get database/creds/ro as t1"]);

    world.answer(
        "database/creds/ro",
        &CREDENTIALS.replace("\"data\"", "\"request_id\":\"2\",\"data\""),
    );

    assert_eq!(world.step(), ["check file 0"]);
}

#[test]
fn a_local_file_that_did_not_change_renders_nothing() {
    let mut world = World::new(&[r#"{{ file "/x" }}"#]);
    world.step();
    world.log_in("t1", 3600);
    assert_eq!(world.step(), ["read file /x"]);
    file(&mut world, "a");
    assert_eq!(world.step(), ["write template 0: a"]);
    world.written();
    world.step();

    world.pass(Duration::from_secs(2));
    assert_eq!(world.step(), ["read file /x"]);
    file(&mut world, "a");
    assert_eq!(world.step(), ["check file 0"]);
    world.pass(Duration::from_secs(2));
    world.step();
    file(&mut world, "b");
    assert_eq!(world.step(), ["write template 0: b"]);
}

#[test]
fn a_lease_that_ends_before_it_is_replaced_is_told_once_with_its_files() {
    let mut world = World::ready(&["static", DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();
    for _ in 0..20 {
        world.fail_lease(&down());
        world.fail("database/creds/ro", &down());
        world.pass(Duration::from_secs(5));
        world.step();
    }

    let expired: Vec<&Notice> = world
        .notices
        .iter()
        .filter(|notice| matches!(notice, Notice::Expired { .. }))
        .collect();
    assert_eq!(
        expired,
        [&Notice::Expired {
            request: read("database/creds/ro"),
            templates: vec![1],
        }]
    );
}

#[test]
fn a_certificate_and_a_password_that_are_not_replaced_in_time_are_told_once() {
    let issued = r#"{"data": {"certificate": "c", "expiration": 1800000100}}"#;
    let rotated =
        r#"{"data": {"username": "u", "password": "p", "ttl": 100, "rotation_period": 3600}}"#;
    for answer in [issued, rotated] {
        let mut world = World::new(&[DATABASE]);
        world.get_ready(answer);
        for _ in 0..24 {
            world.step();
            world.fail("database/creds/ro", &down());
            world.pass(Duration::from_secs(5));
        }

        let expired = |notice: &&Notice| matches!(notice, Notice::Expired { .. });
        assert_eq!(world.notices.iter().filter(expired).count(), 1, "{answer}");
    }
}

#[test]
fn no_wait_before_a_replacement_outlasts_the_lease() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();
    world.fail_lease(&denied("lease not found", 400));
    for _ in 0..8 {
        world.step();
        world.fail("database/creds/ro", &down());
        world.pass(Duration::from_secs(3));
    }

    let (at, _) = world.agent.poll_timeout().unwrap();

    assert!(
        at.since(world.now.moment) <= Duration::from_secs(1),
        "{at:?}"
    );
}

#[test]
fn a_wait_that_vault_asks_for_is_kept() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();

    let busy = Refusal::new(429, String::new(), Some(Duration::from_secs(7)));
    world.fail("database/creds/ro", &Error::Refused(busy).into());

    world.pass(Duration::from_millis(6900));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_millis(100));
    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
}

#[test]
fn a_mount_is_asked_for_again_once_a_read_was_refused() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();
    world.fail_lease(&denied("lease not found", 400));
    world.step();

    world.fail("database/creds/ro", &denied("", 404));
    world.pass(Duration::from_secs(1));

    assert_eq!(world.step(), ["find mount of database/creds/ro as t1"]);
    world.fail_mount("database/creds/ro", &denied("permission denied", 403));
    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
}

#[test]
fn an_answer_whose_request_nobody_makes_any_more_is_still_waited_for_at_the_end() {
    let text =
        r#"{{ if eq (file "/x") "a" }}{{ with secret "kv/a" }}{{ .Data }}{{ end }}{{ end }}"#;
    let mut world = World::new(&[text]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    file(&mut world, "a");
    assert_eq!(world.step(), ["find mount of kv/a as t1"]);
    world.find_mount("kv/a", "kv");
    assert_eq!(world.step(), ["get kv/a as t1"]);
    world.pass(Duration::from_secs(2));
    world.step();
    file(&mut world, "b");
    // The text is not rendered again before its missing answer comes.
    world.step();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);
    world.answer("kv/a", CREDENTIALS);
    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
}

#[test]
fn what_no_template_asks_for_any_more_is_not_renewed_and_revoked_at_the_end() {
    let text = r#"{{ if eq (file "/x") "a" }}{{ with secret "database/creds/ro" }}{{ .Data.username }}{{ end }}{{ end }}"#;
    let mut world = World::new(&[text]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    file(&mut world, "a");
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();
    world.answer("database/creds/ro", CREDENTIALS);
    assert_eq!(world.step(), ["write template 0: v-1"]);
    world.written();
    world.step();
    world.pass(Duration::from_secs(2));
    world.step();
    file(&mut world, "b");
    assert_eq!(world.step(), ["write template 0: "]);
    world.written();
    world.step();

    world.pass(Duration::from_secs(65));
    assert!(!world.step().iter().any(|it| it.starts_with("renew")));
    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
}

#[test]
fn what_comes_when_no_template_asks_for_it_any_more_is_revoked_at_the_end() {
    let text = r#"{{ if eq (file "/x") "a" }}{{ with secret "database/creds/ro" }}{{ .Data.username }}{{ end }}{{ end }}"#;
    for is_heard in [true, false] {
        let mut world = World::new(&[text]);
        world.step();
        world.log_in("t1", 3600);
        world.step();
        file(&mut world, "a");
        world.step();
        world.find_mount("database/creds/ro", "database");
        assert_eq!(world.step(), ["get database/creds/ro as t1"]);
        world.pass(Duration::from_secs(2));
        world.step();
        file(&mut world, "b");
        world.step();
        world.written();
        world.step();

        if is_heard {
            world.answer("database/creds/ro", CREDENTIALS);
            world.feed(Input::Terminate);
            assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
        } else {
            world.fail("database/creds/ro", &denied("Gateway Timeout", 504));
            world.feed(Input::Terminate);
            assert_eq!(world.step(), ["revoke t1"]);
            world.revoked(Ok(()));
            assert_eq!(world.exit().1.more_leases, 1);
        }
    }
}

#[test]
fn the_lease_of_a_certificate_is_revoked_at_the_end() {
    let mut world = World::new(&[r#"{{ with pkiCert "pki/issue/web" }}{{ .Data.Cert }}{{ end }}"#]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    let Some(Command::ReadFile { request, .. }) = world.pending.first() else {
        panic!("{:?}", world.pending);
    };
    let request = request.clone();
    world.feed(Input::FileRead {
        request,
        result: Err(down()),
    });
    world.step();
    let Some(Command::Read {
        ticket, request, ..
    }) = world.pending.first()
    else {
        panic!("{:?}", world.pending);
    };

    let (ticket, request) = (*ticket, request.clone());
    let body = r#"{"lease_id":"pki/issue/web/1","lease_duration":90,"data":{}}"#;
    world.feed(Input::Answered {
        ticket,
        request,
        result: Ok(secret(body)),
    });
    world.step();
    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["revoke pki/issue/web/1"]);
}

#[test]
fn a_sandbox_is_handed_on_to_whoever_reads_the_file() {
    let mut world = World::build(&[r#"{{ file "/safe/x" }}"#], |start| {
        start.config.templates[0].sandbox_path = Some("/safe".to_owned());
    });
    world.step();
    world.log_in("t1", 3600);
    world.step();

    let Some(Command::ReadFile { within, .. }) = world.pending.first() else {
        panic!("{:?}", world.pending);
    };
    assert_eq!(within, &["/safe"]);
}

pub(super) fn file(world: &mut World, content: &str) {
    world.feed(Input::FileRead {
        request: Request::File {
            path: "/x".to_owned(),
        },
        result: Ok(Answer::File(Text::from(content))),
    });
}
