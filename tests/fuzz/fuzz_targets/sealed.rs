//! Any bytes are refused where a sealed file is expected, and whatever one life can hand to the next comes out of the seal as
//! it went in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use planescape_agent_handover::{Contents, Random};

const FORM: &[u8] = b"planescape-agent-cache 1\n";

fuzz_target!(|bytes: &[u8]| {
    for file in [bytes.to_vec(), [FORM, bytes].concat()] {
        assert!(
            Contents::open(&file, b"token").is_err(),
            "nobody has sealed it"
        );
    }
    let Ok(contents) = serde_json::from_slice::<Contents>(bytes) else {
        return;
    };
    let mut random: Random = [7; _];
    for (place, byte) in random.iter_mut().zip(bytes) {
        *place = *byte;
    }
    let file = contents.seal(b"token", &random).expect("it can be sealed");
    let opened = Contents::open(&file, b"token").expect("it was sealed with this token");
    let plain = |contents| serde_json::to_vec(contents).expect("it has a JSON form");
    assert_eq!(plain(&opened), plain(&contents));
    assert_eq!(opened.seal(b"token", &random).expect("as before"), file);
    assert!(Contents::open(&file, b"another").is_err());
    let mut damaged = file;
    let at = bytes.len() % damaged.len();
    damaged[at] ^= 1;
    assert!(
        Contents::open(&damaged, b"token").is_err(),
        "byte {at} has changed"
    );
});
