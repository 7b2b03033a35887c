//! YAML, JSON and TOML: documents to read, and values to write that look like something else.

use super::random::{Random, literal};

const SCALARS: &[&str] = &[
    "a",
    "1",
    "-1",
    "+1",
    "0",
    "-0",
    "007",
    "0o17",
    "017",
    "0x1F",
    "-0x1",
    "0b101",
    "-0b1",
    "1_000",
    "0x_1",
    "1.",
    ".5",
    "1.5",
    "1e3",
    "1e+3",
    "1E-3",
    "-1.5e3",
    "1_0.5",
    ".inf",
    "-.inf",
    "+.Inf",
    ".INF",
    ".nan",
    ".NaN",
    ".NAN",
    "inf",
    "nan",
    "true",
    "True",
    "TRUE",
    "yes",
    "Yes",
    "no",
    "NO",
    "on",
    "Off",
    "y",
    "Y",
    "n",
    "tRue",
    "null",
    "Null",
    "NULL",
    "~",
    "",
    "''",
    "\"\"",
    "2024-01-02",
    "2024-01-02T03:04:05Z",
    "2024-1-2",
    "2024-01-02 03:04:05",
    "2024-01-02T03:04:05.5+02:00",
    "2024-13-45",
    "2001-12-14t21:59:43.10-05:00",
    "12:30",
    "1:30:15",
    "190:20:30.15",
    "12:99",
    "-1:30",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "0x7fffffffffffffff",
    "0xffffffffffffffff",
    "1e400",
    "0.1e1000",
    "123456789012345678901234567890",
    "<<",
    "=",
    "a b",
    "a: b",
    "'it''s'",
    "\"x\\ty\\n\"",
    "\"\\u00e9\\x41\\U0001F600\\N\\_\\L\\P\\e\\0\\a\\b\\v\\f\\r\\/\\\"\\\\\"",
    "\"\\q\"",
    "\"a\\\n  b\"",
    "\"a\n  b\n\n  c\"",
    "'a\n  b'",
    "a\n  b",
    "é",
    "- a",
    "? a",
    ": a",
    "#c",
    "a #c",
    "a#c",
    "a:b",
    "http://x/y",
    "@a",
    "`a`",
    "%a",
    "!a",
    "&a",
    "*a",
    "| a",
    "> a",
    "[a",
    "{a",
    "a]",
    "a, b",
    "--- a",
    "...",
    "!!str 1",
    "!!int \"7\"",
    "!!float 1",
    "!!bool yes",
    "!!null x",
    "!!binary aGk=",
    "!!binary ===",
    "!!timestamp 2024-01-02",
    "!custom x",
    "!!map {}",
    "!!seq []",
    "!!set {a}",
    "! 12",
    "!<tag:yaml.org,2002:str> 3",
    "&x 1",
    "&x [1]",
    "*x",
    "&x",
    "*nope",
    "\u{a0}",
    "\u{85}",
    "\u{2028}",
    "\t",
    "a\tb",
    "\"a\tb\"",
    "08",
    "0.0",
    "-.5",
    "+.5",
    "1__0",
    "0o8",
    "0b2",
    "1e",
    "e1",
    "1.2.3",
    "0.",
    "00",
    "0_",
    "_1",
    "0x",
    "1,000",
    "1:2:3",
    "60:00",
    "1:60",
    "+12:30",
    "0:0.5",
    "-2001-01-01",
];
const BLOCKS: &[&str] = &[
    "|", "|-", "|+", ">", ">-", ">+", "|2", "|1-", ">2+", "|-2", "|0", "|3", "|9", "|10", ">x",
    "| # c", "|#c",
];
const LINES: &[&str] = &[
    "text",
    "  more",
    "",
    "   ",
    "\ttab",
    "a: b",
    "- c",
    "# d",
    "word word",
    " x",
    "é",
    "---",
    "...",
];
const KEYS: &[&str] = &[
    "a",
    "b",
    "c",
    "1",
    "true",
    "~",
    "1.5",
    "\"q\"",
    "'s'",
    "a b",
    "<<",
    "? k",
    "\"a\"",
    "[1, 2]",
    "{x: 1}",
    "2024-01-02",
    "yes",
    "0x1",
    "null",
    "a",
    "?",
    "&k a",
    "*x",
    "!!str 1",
    "",
];
const NOISE: &[u8] = b" \n-:,[]{}#&*!|>'\"%@?~<=0aA.\t\r\\\x00\xff\xc3+";

/// A document in YAML as a text.
pub(super) fn yaml(random: &mut Random) -> String {
    let mut text = String::new();
    if random.chance(5) {
        text.push_str(random.pick(&[
            "---\n",
            "%YAML 1.1\n---\n",
            "--- ",
            "# c\n",
            "\u{feff}",
            "%TAG ! x\n---\n",
            "\n\n",
            "---\n---\n",
        ]));
    }
    text.push_str(&node(random, 0, 3));
    if random.chance(5) {
        text.push_str(random.pick(&["\n...", "\n---\nb", "\n# c", "\n  ", "\n...\nx: 1", "\n\t"]));
    }
    let mut bytes = text.into_bytes();
    if random.chance(15) {
        random.mutate(&mut bytes, NOISE);
    }
    literal(&bytes)
}

fn node(random: &mut Random, indent: usize, depth: usize) -> String {
    let pad = " ".repeat(indent);
    match random.below(if depth == 0 { 4 } else { 9 }) {
        0..=2 => random.pick(SCALARS).replace('\n', &format!("\n{pad}")),
        3 => flow(random, depth),
        4 => {
            let mut out = random.pick(BLOCKS).to_owned();
            for _ in 0..random.below(5) {
                let extra = " ".repeat(random.below(3));
                out.push_str(&format!("\n{pad}{extra}{}", random.pick(LINES)));
            }
            out.push_str(random.pick(&["", "", "\n", "\n\n"]));
            out
        }
        5 | 6 => entries(random, indent, depth, true),
        _ => entries(random, indent, depth, false),
    }
}

fn entries(random: &mut Random, indent: usize, depth: usize, is_list: bool) -> String {
    let pad = " ".repeat(indent);
    let mut out = String::new();
    if indent > 0 {
        let prefix = random.pick(&[
            "", "", "", "", "&x", "!!map", "!!omap", "!t", "&y !!seq", "*x",
        ]);
        out.push_str(prefix);
        out.push_str(&format!("\n{pad}"));
    }
    for index in 0..=random.below(4) {
        if index > 0 {
            out.push_str(&format!("\n{pad}"));
        }
        if random.chance(4) {
            out.push_str(random.pick(&["# note", " ", "", "- x", "a: b", "  c: d"]));
            continue;
        }
        let step = random.pick(&["  ", "  ", "  ", " ", "    ", ""]);
        let value = node(random, indent + step.len(), depth - 1);
        if is_list {
            out.push_str(&format!("- {value}"));
        } else {
            let key = random.pick(KEYS);
            let colon = random.pick(&[": ", ": ", ": ", ": ", ":", " : ", ":\t"]);
            out.push_str(&format!("{key}{colon}{value}"));
        }
    }
    out
}

fn flow(random: &mut Random, depth: usize) -> String {
    if depth == 0 {
        return random.pick(SCALARS).to_owned();
    }
    let mut out = String::new();
    let is_list = random.chance(50);
    for index in 0..random.below(4) {
        if index > 0 {
            out.push_str(random.pick(&[", ", ",", " , ", ",\n ", ",,"]));
        }
        let value = flow(random, depth - 1);
        if is_list && random.chance(85) {
            out.push_str(&value);
        } else {
            let key = random.pick(KEYS);
            let colon = random.pick(&[": ", ": ", ":", " : ", ""]);
            out.push_str(&format!("{key}{colon}{value}"));
        }
    }
    let end = random.pick(&["", "", "", ",", " ", "\n"]);
    if is_list {
        format!("[{out}{end}]")
    } else {
        format!("{{{out}{end}}}")
    }
}

const JSON: &[&str] = &[
    "1",
    "-1",
    "0",
    "-0",
    "1.5",
    "1e3",
    "1E+2",
    "-1.5e-3",
    "1e400",
    "01",
    "+1",
    ".5",
    "1.",
    "1e",
    "0x1",
    "12345678901234567890",
    "true",
    "false",
    "null",
    "True",
    "nul",
    "tru",
    "\"\"",
    "\"a\"",
    "\"\\n\\t\\\"\\\\\\/\\b\\f\\r\"",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\udc00x\"",
    "\"\\ud83d\\u0041\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"a\nb\"",
    "\"\t\"",
    "\"é\"",
    "\"\x7f\"",
    "\"<&>\"",
    "\"\u{2028}\"",
    "\"\\u0000\"",
    "'a'",
    "NaN",
    "Infinity",
    "",
    "//",
    "\"open",
];

pub(super) fn json(random: &mut Random) -> String {
    let mut bytes = json_value(random, 3).into_bytes();
    if random.chance(20) {
        random.mutate(&mut bytes, b"{}[]\",: \n\\tfn0-.e\x00\xff\xc3\t");
    }
    if random.chance(5) {
        bytes.extend_from_slice(random.pick(&[" ", "x", " 1", "\n", "}", "\0"]).as_bytes());
    }
    literal(&bytes)
}

fn json_value(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.chance(30) {
        return random.pick(JSON).to_owned();
    }
    let is_list = random.chance(50);
    let items: Vec<String> = (0..random.below(4))
        .map(|_| {
            let value = json_value(random, depth - 1);
            let key = random.pick(&[
                "\"a\"", "\"b\"", "\"a\"", "\"\"", "\"a/b\"", "\"é\"", "\"B\"", "\"a10\"",
                "\"a2\"", "a", "1",
            ]);
            let colon = random.pick(&[":", ":", ":", ": ", " :", ""]);
            if is_list {
                value
            } else {
                format!("{key}{colon}{value}")
            }
        })
        .collect();
    let comma = random.pick(&[",", ",", ",", ", ", "\n,"]);
    let inner = items.join(comma);
    let end = random.pick(&["", "", "", "", "", ",", " "]);
    if is_list {
        format!("[{inner}{end}]")
    } else {
        format!("{{{inner}{end}}}")
    }
}

const PIECES: &[&str] = &[
    "a",
    "b",
    "Z",
    "0",
    "1",
    "12",
    "-",
    "- ",
    ": ",
    ":",
    " #",
    "#",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\r",
    "\t",
    "'",
    "\"",
    "\\",
    "&",
    "*",
    "!",
    "|",
    ">",
    "%",
    "@",
    "`",
    ",",
    "[",
    "]",
    "{",
    "}",
    "?",
    "? ",
    "~",
    "=",
    "<<",
    ".",
    "_",
    "/",
    "é",
    "ß",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{1f600}",
    "\u{0}",
    "\u{1b}",
    "word ",
    "longer words here ",
    "null",
    "true",
    "1e3",
    "0x1f",
    "2024-01-02",
    "12:30",
    "---",
    "...",
    "\n ",
    "\n- ",
    " \n",
    "\u{fffd}",
    "\u{e000}",
    "\u{10ffff}",
];

/// A text that is awkward to write.
pub(super) fn awkward(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0 => random.pick(SCALARS).as_bytes().to_vec(),
        1 => {
            let most = 40;
            let words = &[
                "word",
                "a",
                "longword",
                "'",
                "\"",
                ": ",
                " ",
                "  ",
                "é",
                "#",
                "\n",
                "-",
                "x: y",
                "\t",
                "1234567890",
                "\u{1f600}",
            ];
            let mut out = String::new();
            for _ in 0..10 + random.below(most) {
                out.push_str(random.pick(words));
                if random.chance(70) {
                    out.push(' ');
                }
            }
            out.into_bytes()
        }
        2 => [
            random.several(PIECES, 3).as_bytes(),
            b"\xff\xfe\xc3",
            random.several(PIECES, 2).as_bytes(),
        ]
        .concat(),
        _ => random.several(PIECES, 6).into_bytes(),
    }
}

/// A call that makes a value of awkward texts.
pub(super) fn value(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.chance(35) {
        return match random.below(3) {
            0 => random
                .pick(&[
                    "1",
                    "-5",
                    "1.5",
                    "1e21",
                    "1e-9",
                    "true",
                    "nil",
                    "(sprig_list)",
                    "(sprig_dict)",
                    "(parseFloat \"NaN\")",
                    "(parseFloat \"-Inf\")",
                    "100000.0",
                    "1e6",
                    "(secret \"kv/app\").Data.data.port",
                    "(secret \"kv/app\").Data.data.big",
                    "(secret \"kv/app\").Data.data.exp",
                    "(parseUint \"18446744073709551615\")",
                    "(split \",\" \"x,1,\")",
                    "(splitToMap \",\" \"=\" \"y=1,n=2\")",
                    "(sprig_until 3)",
                    "(parseYAML \"{1: a, b: [x], true: ~, 1.5: z}\")",
                    "(index \"a\" 0)",
                    "(secret \"kv/app\").Data.data",
                    "(secret \"kv/app\").Auth",
                    "(split \",\" \"\")",
                    "(sprig_chunk 2 (sprig_list 1 \"2\" nil))",
                    "(secret \"database/creds/ro\")",
                    "2.0",
                    "-0.0",
                    "1e300",
                    "(sprig_toDate \"2006-01-02T15:04:05.999Z07:00\" \"2024-02-03T04:05:06.5Z\")",
                    "123456789.125",
                ])
                .to_owned(),
            _ => literal(&awkward(random)),
        };
    }
    let is_list = random.chance(45);
    let mut out = String::from(if is_list {
        "(sprig_list"
    } else {
        "(sprig_dict"
    });
    for _ in 0..random.below(4) {
        if !is_list {
            out.push(' ');
            let key = if random.chance(40) {
                let mut key = awkward(random);
                // With 9 and 10 it can stand in a circle: 10 before 1e3 before 9 before 10.
                if key.first().is_some_and(u8::is_ascii_digit) {
                    key.insert(0, b'k');
                }
                key
            } else {
                random
                    .pick(&[
                        "a", "b", "a2", "a10", "A", "_", "1", "10", "9", "y", "a b", "", "a.b",
                        "a_b", "ab", "é", "x1y2", "x01", "x1", "-",
                    ])
                    .as_bytes()
                    .to_vec()
            };
            out.push_str(&literal(&key));
        }
        out.push(' ');
        out.push_str(&value(random, depth - 1));
    }
    out.push(')');
    out
}
