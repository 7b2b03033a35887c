//! From the login to the renewal of everything.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for one thing among many"
)]

mod certificates;
mod endings;
mod failures;
mod init_runs;
mod intact;
mod made;
mod nameless;
mod overlap;
mod programs;
mod reads;
mod reload;
mod sessions;
mod settings;
mod status;
mod tokens;
mod world;

use std::time::Duration;

use crate::input::Input;
use world::*;

#[test]
fn one_login_one_read_one_file() {
    let mut world = World::new(&[DATABASE]);

    assert_eq!(world.step(), ["log in"]);
    world.log_in("t1", 3600);
    assert_eq!(world.step(), ["find mount of database/creds/ro as t1"]);
    world.find_mount("database/creds/ro", "database");
    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    world.answer("database/creds/ro", CREDENTIALS);
    assert_eq!(world.step(), ["write template 0: v-1"]);
    assert!(!world.agent.is_ready());
    world.written();
    assert_eq!(world.step(), ["announce ready"]);
    assert!(world.agent.is_ready());
}

#[test]
fn who_has_nothing_to_write_is_ready_once_there_is_a_token() {
    let mut world = World::build(&["x"], |start| {
        start.config.templates.clear();
        start.texts.clear();
    });

    assert_eq!(world.step(), ["log in"]);
    assert!(!world.agent.is_ready());
    world.log_in("t1", 3600);
    assert_eq!(world.step(), ["announce ready"]);
}

#[test]
fn renews_the_lease_at_two_thirds_and_reads_nothing_again() {
    let mut world = World::ready(&[DATABASE]);

    world.pass(Duration::from_secs(55));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);
    world.renew_lease(90);
    assert_eq!(world.step(), NOTHING);
}

#[test]
fn reads_again_when_the_maximum_is_near() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();

    world.renew_lease(30);
    world.pass(Duration::from_secs(22));

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    world.answer("database/creds/ro", &CREDENTIALS.replace("v-1", "v-2"));
    assert_eq!(world.step(), ["write template 0: v-2"]);
}

#[test]
fn a_lease_that_vault_forgot_is_replaced_at_once() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();

    world.fail_lease(&denied("lease not found", 400));

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
}

#[test]
fn a_lease_that_cannot_be_renewed_now_is_tried_again() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();

    world.fail_lease(&down());
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_millis(250));

    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);
}

#[test]
fn logs_in_again_when_the_token_is_lost_and_replaces_what_it_leased() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();

    world.fail_lease(&denied(
        "2 errors occurred: * permission denied * invalid token",
        403,
    ));
    assert_eq!(world.step(), ["look up t1"]);
    world.look_up(Err(denied("invalid token", 403)));
    assert_eq!(world.step(), ["log in"]);
    world.log_in("t2", 3600);

    assert_eq!(world.step(), ["get database/creds/ro as t2"]);
}

#[test]
fn a_lease_that_cannot_be_renewed_ends_with_its_token_too() {
    let fixed = CREDENTIALS.replace("\"renewable\":true", "\"renewable\":false");
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();
    world.answer("database/creds/ro", &fixed);
    world.step();

    world.fail_token(&denied("invalid token", 403));
    assert_eq!(world.step(), ["log in"]);
    world.log_in("t2", 3600);

    assert_eq!(world.step(), ["get database/creds/ro as t2"]);
}

#[test]
fn a_lease_that_no_token_can_replace_is_asked_for_ever_less_often() {
    let mut world = World::ready(&[DATABASE]);
    world.fail_token(&denied("invalid token", 403));
    assert_eq!(world.step(), ["log in"]);
    world.log_in("t2", 3600);
    assert_eq!(world.step(), ["get database/creds/ro as t2"]);

    let mut logins = 0;
    for _ in 0..600 {
        world.fail("database/creds/ro", &denied("invalid token", 403));
        for _ in 0..4 {
            for step in world.step() {
                if step.starts_with("look up") {
                    world.look_up(Err(denied("invalid token", 403)));
                } else if step == "log in" {
                    logins += 1;
                    world.log_in("t3", 3600);
                }
            }
        }
        world.pass(Duration::from_millis(100));
    }

    assert!((2..=6).contains(&logins), "{logins} logins in a minute");
}

#[test]
fn an_answer_to_a_token_that_was_replaced_meanwhile_is_read_again() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(2530));
    assert_eq!(
        world.step(),
        ["renew token t1", "renew lease database/creds/ro/1 as t1"]
    );
    world.fail_lease(&denied("lease not found", 400));
    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    world.fail_token(&denied("not renewable", 400));
    assert_eq!(world.step(), ["log in"]);
    world.log_in("t2", 3600);
    assert_eq!(world.step(), NOTHING);

    world.answer("database/creds/ro", CREDENTIALS);

    assert_eq!(
        world.step(),
        ["check file 0", "get database/creds/ro as t2"]
    );
}

#[test]
fn a_late_refusal_of_a_token_that_was_replaced_does_not_lose_the_new_one() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(2530));
    world.step();
    world.fail_lease(&denied("lease not found", 400));
    world.step();
    world.fail_token(&denied("not renewable", 400));
    world.step();
    world.log_in("t2", 3600);
    assert_eq!(world.step(), NOTHING);

    world.fail("database/creds/ro", &denied("invalid token", 403));

    assert_eq!(world.step(), ["get database/creds/ro as t2"]);
    world.feed(Input::Terminate);
    world.answer("database/creds/ro", CREDENTIALS);
    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
    world.lease_revoked("database/creds/ro/1", Ok(()));
    assert_eq!(world.step(), ["revoke t2", "revoke t1"]);
}

#[test]
fn a_life_that_no_clock_can_hold_is_taken_for_a_very_long_one() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);

    world.renew_lease(u64::MAX);
    world.log_in("t2", u64::MAX);
    world.step();
    world.answer(
        "database/creds/ro",
        &CREDENTIALS.replace("90", &i64::MAX.to_string()),
    );
    world.renew_token(u64::MAX);

    world.pass(Duration::from_secs(365 * 24 * 3600));
    assert!(world.step().iter().all(|step| step.starts_with("write")));
}

#[test]
fn renews_the_token_and_replaces_it_near_its_maximum() {
    let mut world = World::ready(&["static"]);

    world.pass(Duration::from_secs(2530));
    assert_eq!(world.step(), ["renew token t1"]);
    world.renew_token(600);
    world.pass(Duration::from_secs(421));
    assert_eq!(world.step(), ["log in"]);
}

#[test]
fn places_without_a_value_are_told_once_until_they_change() {
    let text =
        r#"{{ with secret "kv/a" }}{{ .Data.x }}{{ range .Data.list }}{{ .y }}{{ end }}{{ end }}"#;
    let mut world = World::new(&[text]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("kv/a", "kv");
    world.step();
    let mut warnings_of = |body: &str| {
        world.answer("kv/a", body);
        world.step();
        world.written();
        world.warnings()
    };

    let first = warnings_of(r#"{"data":{"s":"s3cr3t","list":[{},{}]}}"#);
    assert_eq!(
        first,
        [[
            "1:28: {{.Data.x}} has no value; `<no value>` is written",
            "1:63: {{.y}} has no value; `<no value>` is written",
        ]]
    );
    assert!(warnings_of(r#"{"data":{"list":[{}]}}"#).is_empty());
    assert_eq!(warnings_of(r#"{"data":{"list":[]}}"#).len(), 1);
    assert!(warnings_of(r#"{"data":{"x":1,"list":[]}}"#).is_empty());
    assert_eq!(warnings_of(r#"{"data":{"list":[]}}"#).len(), 1);
}

#[test]
fn two_templates_share_one_read() {
    let mut world = World::new(&[DATABASE, DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    world.answer("database/creds/ro", CREDENTIALS);
    assert_eq!(
        world.step(),
        ["write template 0: v-1", "write template 1: v-1"]
    );
}

#[test]
fn no_debug_output_shows_a_token_or_a_value() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("hvs.token", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();
    world.answer("database/creds/ro", CREDENTIALS);

    let text = format!("{:?}", world.agent);
    assert!(!text.contains("hvs.token"), "{text}");
    assert!(!text.contains("p-1"), "{text}");
}
