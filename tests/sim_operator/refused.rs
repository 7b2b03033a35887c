//! A quota that has no room for a run, while the one before it is made and not recorded yet.

use planescape_tests::chance::Chance;
use serde_json::json;

use crate::operator::{Call, Operator};
use crate::server::Server;

#[test]
fn a_refusal_behind_an_unrecorded_start_is_told_and_not_tried_without_a_pause() {
    let spec = json!({
        "schedule": "* * * * *", "concurrencyPolicy": "Allow",
        "jobTemplate": { "spec": { "template": { "spec": {
            "containers": [{ "name": "main", "image": "busybox:1.35" }],
        } } } },
    });
    let mut server = Server::new("2026-11-24T10:00:30Z".parse().unwrap(), &spec);
    let mut chance = Chance::new(1);
    let mut operator = Operator::default();
    operator.restart(&server);
    let mut step = |server: &mut Server, operator: &mut Operator| {
        operator.hear(server, true, true);
        operator.step(server, &mut chance, Call::Fine)
    };
    while step(&mut server, &mut operator) {}
    server.pass(30);
    while server.jobs.is_empty() {
        assert!(step(&mut server, &mut operator));
    }
    // The attempt ends, and its record waits.
    step(&mut server, &mut operator);

    server.pass(60);
    server.refuses_until = "2026-11-24T11:00:00Z".parse().unwrap();
    let steps = (0..100).take_while(|_| step(&mut server, &mut operator));
    let steps = steps.count();

    assert!(operator.broken.is_none(), "{:?}", operator.broken);
    assert!(steps < 100, "it never rests");
    let status = server.job.status.as_ref().unwrap();
    let mut conditions = status.conditions.iter();
    let ready = conditions.find(|it| it.type_ == "Ready").unwrap();
    assert_eq!(ready.reason, "FailedCreate", "{}", ready.message);
}
