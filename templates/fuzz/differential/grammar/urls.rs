//! URLs from parts that are sound or nearly so, of ASCII and beyond.

use super::random::Random;

const SCHEMES: &[&str] = &[
    "",
    "",
    "http:",
    "https:",
    "HTTP:",
    "file:",
    "mailto:",
    "a+b-c.1:",
    "1a:",
    ":",
    "é:",
    "postgres:",
];
const USERS: &[&str] = &[
    "",
    "",
    "u@",
    "u:p@",
    "u%40:p%3a@",
    "a@b@",
    ":@",
    "é@",
    "u:p:q@",
    "%zz@",
    "%e9@",
    "u p@",
    "<@",
    "@",
];
const HOSTS: &[&str] = &[
    "",
    "h",
    "a.b.example",
    "h:80",
    "h:",
    "h:x",
    "a:1,b:2",
    "a:b:c",
    "[::1]",
    "[::1]:80",
    "[::1",
    "[::1%25eth0]",
    "[1.2.3.4]",
    "[x]",
    "x[::1]",
    "é",
    "%C3%A9",
    "%20",
    "%41",
    "h%",
    "h p",
    "h\\",
    "h\"<>",
    "日本",
    "*",
    "h|",
    "[::1]x",
    "[::1%25%20]",
    "[fe80::1%251]:8",
];
const PATHS: &[&str] = &[
    "",
    "/",
    "/a",
    "a",
    "a:b",
    "./a:b",
    "/a/../b",
    "//a",
    "///a",
    "/%2f",
    "/%2F%zz",
    "/%",
    "/é",
    "/a b",
    "*",
    "/*",
    "/a;b=c,d",
    "/%E9",
    "/a%3fb",
    "/[x]",
    "/{x}",
    "/!$&'()*+,;=:@",
    "/\\",
    "/日a",
];
const QUERIES: &[&str] = &["", "", "?", "?a=b&c=d", "??", "?é", "?%zz", "?a b", "?a#"];
const FRAGMENTS: &[&str] = &[
    "", "", "#", "#f", "#é", "#%zz", "#a#b", "#!*()", "#a b", "#%41", "#<>",
];

pub(super) fn url(random: &mut Random) -> Vec<u8> {
    let mut url = random.pick(SCHEMES).to_owned();
    if random.chance(75) {
        url.push_str("//");
        url.push_str(random.pick(USERS));
        url.push_str(random.pick(HOSTS));
    }
    for parts in [PATHS, QUERIES, FRAGMENTS] {
        url.push_str(random.pick(parts));
    }
    let mut url = url.into_bytes();
    if random.chance(15) {
        random.mutate(&mut url, b"%:/@?#[]a1 \xff\x00\x7f\xc3\\");
    }
    url
}

/// The same parts in a map, as `urlJoin` takes them.
pub(super) fn parts(random: &mut Random) -> Vec<(&'static str, String)> {
    let mut parts = Vec::new();
    let kinds: [(&str, &[&str]); 7] = [
        ("scheme", &["", "http", "file", "A", "é", "a b"]),
        ("host", HOSTS),
        ("path", PATHS),
        ("query", &["", "a=b", "?", "é", "a b", "#"]),
        ("opaque", &["", "", "", "x@y", "//a", "é b"]),
        ("fragment", &["", "f", "é", "a b", "#", "!*()%", "%41"]),
        (
            "userinfo",
            &[
                "", "", "u", "u:p", "a@b", "é", "%zz", "u:p:q", "u/x", "u#x", "u?x", "%41", ":",
            ],
        ),
    ];
    for (name, texts) in kinds {
        if random.chance(60) {
            parts.push((name, random.pick(texts).to_owned()));
        }
    }
    parts
}
