//! Certificates that stand in their files already.

use std::time::Duration;

use planescape_templates::{Answer, Request};
use planescape_vault::Text;

use super::world::*;
use crate::command::Command;
use crate::input::Input;

const LEAF: &str = include_str!("../../../../../templates/testdata/pki/leaf.pem");
const KEY: &str = "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n";

#[test]
fn a_good_certificate_in_its_file_is_kept_and_one_without_its_key_is_issued_anew() {
    let mut world = World::new(&[r#"{{ with pkiCert "pki/issue/web" }}x{{ end }}"#]);
    world.step();
    world.log_in("t1", 3600);
    assert_eq!(world.step(), ["read file /0"]);
    let request = requested(&world);

    file_holds(&mut world, &request, &format!("{LEAF}{KEY}"));
    assert_eq!(world.step(), ["write template 0: x"]);
    world.written();
    assert_eq!(world.step(), ["announce ready"]);
    world.pass(Duration::from_secs(2000));
    assert_eq!(world.step(), NOTHING, "it is good for years");

    file_holds(&mut world, &request, LEAF);
    assert_eq!(world.step(), ["put pki/issue/web as t1"]);
}

fn requested(world: &World) -> Request {
    let Some(Command::ReadFile { request, .. }) = world.pending.first() else {
        panic!("{:?}", world.pending);
    };
    request.clone()
}

fn file_holds(world: &mut World, request: &Request, text: &str) {
    world.feed(Input::FileRead {
        request: request.clone(),
        result: Ok(Answer::File(Text::from(text))),
    });
}
