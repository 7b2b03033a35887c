//! The agent's state, for anybody who asks.

use std::time::Duration;

use super::world::*;
use crate::status::Phase;

#[test]
fn says_how_old_each_text_is_and_how_long_its_lease_lasts() {
    let world = World::new(&[DATABASE]);
    let status = world.agent.status(world.now.moment);
    assert_eq!((status.phase, status.token), (Phase::Starting, None));
    assert_eq!(
        (status.texts[0].age, status.texts[0].expires_in),
        (None, None)
    );

    let mut ready = World::ready(&[DATABASE]);
    ready.pass(Duration::from_secs(30));
    let status = ready.agent.status(ready.now.moment);
    let text = &status.texts[0];
    assert_eq!(status.phase, Phase::Ready);
    assert_eq!(text.age, Some(Duration::from_secs(30)));
    assert_eq!(text.expires_in, Some(Duration::from_secs(60)));
    assert!(!text.has_expired);
    let token = status.token.unwrap();
    assert_eq!(token.expires_in, Some(Duration::from_secs(3570)));

    ready.pass(Duration::from_secs(59));
    let later = ready.agent.status(ready.now.moment);
    assert!(!later.texts[0].has_expired, "a second is left");
    ready.pass(Duration::from_secs(1));
    let last = ready.agent.status(ready.now.moment);
    assert!(last.texts[0].has_expired);
}
