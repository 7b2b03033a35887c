//! Tokens in any order, literals in every form, white space and bytes of every kind.

use super::random::Random;

const TOKENS: &[&str] = &[
    "if",
    "else",
    "end",
    "range",
    "with",
    "define",
    "block",
    "template",
    "break",
    "continue",
    "nil",
    "true",
    "false",
    "print",
    "len",
    "index",
    "printf",
    "eq",
    "and",
    "or",
    "not",
    "\"s\"",
    "`r`",
    "'c'",
    "1",
    "-2",
    "1.5",
    "$",
    "$x",
    "$y",
    ".",
    ".a",
    ".a.b",
    "$x.a",
    "(",
    ")",
    "(1)",
    "|",
    ":=",
    "=",
    ",",
    " ",
    " ",
    " ",
    " ",
    "\n",
    "\t",
    "\r\n",
    "/*",
    "*/",
    "/* c */",
    "-",
    "- ",
    " -",
    "@",
    "é",
    "\u{a0}",
    "%",
    "#",
    "!",
    "secret",
    "nofunc",
    "if 1",
    "with 1",
    "range 2",
    "end",
    "end",
    "$x := 1",
    "$x = 2",
    "template \"t\"",
    "define \"t\"",
    "block \"t\" 1",
    "else if 0",
    "else with 0",
    "range $x := 2",
    "range $x, $y := sprig_list 1",
    "\u{0}",
    "\\",
    "\"",
    "`",
    "'",
    "*",
    "+",
    "1k",
    ".1",
    "0x",
    "..",
    "$.",
    "(print 1).a",
    "print.a",
    "1.a",
    "nil.x",
    "\"s\".x",
    "$x.y.z",
];
const OUTSIDE: &[&str] = &[
    "",
    "",
    "a",
    " ",
    "\n",
    " \t\n",
    "}}",
    "{",
    "}",
    "-}}",
    "{ {",
    "é",
    "\u{a0}",
    "\u{b}\u{c}",
    "\r\n",
    "\u{2028}",
    "\u{0}",
    "x y",
    "-",
    "\r",
];
const DELIMITERS: &[(&str, &str)] = &[
    ("<<", ">>"),
    ("|", "|"),
    ("[[", "]]"),
    ("«", "»"),
    ("{%", "%}"),
    ("<", ">"),
    ("((", "))"),
    ("$", "$"),
    ("{{", "}"),
    ("", "]]"),
    ("a", "b"),
    (".", "."),
    ("\"", "\""),
    ("/*", "*/"),
    (" ", " "),
    ("-", "-"),
];

/// Actions whose tokens are picked blindly.
pub(super) fn tokens(random: &mut Random) -> Vec<u8> {
    let mut out = String::new();
    for _ in 0..=random.below(6) {
        out.push_str(random.pick(OUTSIDE));
        out.push_str(random.pick(&["{{", "{{", "{{", "{{- ", "{{-", "{{ ", "{{-\n", "{{-\u{a0}"]));
        out.push_str(&random.several(TOKENS, 4));
        out.push_str(random.pick(&["}}", "}}", "}}", " -}}", "-}}", " }}", "\t-}}", "}", ""]));
    }
    out.push_str(random.pick(OUTSIDE));
    let mut bytes = out.into_bytes();
    if random.chance(10) {
        random.mutate(&mut bytes, b"{}()|.$\"`'-:=,/* \n\r\t\x00\xff\xc3ab0");
    }
    bytes
}

/// Sound blocks of every kind, with white space and comments everywhere.
pub(super) fn blocks(random: &mut Random) -> Vec<u8> {
    let mut shape = Shape {
        depth: 0,
        ranges: 0,
        variables: 0,
        is_definition: false,
    };
    let mut out = shape.list(random);
    if random.chance(50) {
        out.push_str(&shape.define(random));
    }
    if random.chance(30) {
        out = format!("{}{out}", shape.define(random));
    }
    let mut bytes = out.into_bytes();
    if random.chance(4) {
        random.mutate(&mut bytes, b"{}()|.$\"`'-:=,/* \n\r\t\x00\xff");
    }
    bytes
}

struct Shape {
    depth: usize,
    ranges: usize,
    variables: usize,
    /// No template in a definition calls one: the reference would go round without end.
    is_definition: bool,
}

impl Shape {
    fn define(&mut self, random: &mut Random) -> String {
        self.is_definition = true;
        let name = random.pick(&["t", "u", "t", "", "é"]);
        let (ranges, variables) = (
            std::mem::take(&mut self.ranges),
            std::mem::take(&mut self.variables),
        );
        let body = if random.chance(20) {
            random.pick(&["", " \n", "{{/* c */}}"]).to_owned()
        } else {
            self.list(random)
        };
        self.is_definition = false;
        (self.ranges, self.variables) = (ranges, variables);
        let left = self.open(random);
        format!(
            "{left}define \"{name}\"{}{body}{}",
            self.close(random),
            self.word(random, "end")
        )
    }

    fn open(&self, random: &mut Random) -> &'static str {
        random.pick(&["{{", "{{ ", "{{- ", "{{-\n", "{{\r\n", "{{-\t ", "{{  "])
    }

    fn close(&self, random: &mut Random) -> &'static str {
        random.pick(&["}}", " }}", " -}}", "\n-}}", "\r\n}}", " \t-}}"])
    }

    fn word(&self, random: &mut Random, word: &str) -> String {
        format!("{}{word}{}", self.open(random), self.close(random))
    }

    fn text(&self, random: &mut Random) -> &'static str {
        random.pick(&[
            "", "", "a", " ", "\n", "b \n", "\t c", "}}", "{", "\r\n", "\u{a0}", "\u{0}",
        ])
    }

    fn list(&mut self, random: &mut Random) -> String {
        let mark = self.variables;
        let mut out = self.text(random).to_owned();
        if self.depth < 4 {
            self.depth += 1;
            for _ in 0..random.below(4) {
                out.push_str(&self.action(random));
                out.push_str(self.text(random));
            }
            self.depth -= 1;
        }
        self.variables = mark;
        out
    }

    fn value(&mut self, random: &mut Random) -> String {
        match random.below(12) {
            0 => ".".to_owned(),
            1 => "$".to_owned(),
            2 | 3 if self.variables > 0 => format!("$v{}", random.below(self.variables)),
            4 => random
                .pick(&["nil", "$v0", "$v9", ".x", "$.x.y", "(nil)"])
                .to_owned(),
            5 => format!("(print {} {})", self.value(random), self.value(random)),
            6 => random
                .pick(&[
                    "(sprig_dict \"x\" 1).x",
                    "(sprig_dict).x",
                    "(sprig_dict).x.y",
                    "(parseJSON \"{\\\"x\\\":null}\").x",
                    "(index (sprig_list 1) 0)",
                ])
                .to_owned(),
            7 => format!(
                "({} | printf \"%v-%v\" {})",
                random.pick(&["1", "\"p\"", "true"]),
                self.value(random)
            ),
            _ => random
                .pick(&[
                    "0",
                    "1",
                    "\"\"",
                    "\"s\"",
                    "true",
                    "false",
                    "2.5",
                    "'c'",
                    "(sprig_list)",
                    "(sprig_list 1 2)",
                    "(split \",\" \"p,q\")",
                    "`r\r\n`",
                ])
                .to_owned(),
        }
    }

    fn declared(&mut self, random: &mut Random, most: usize) -> String {
        let count = random.below(most + 1);
        if count == 0 {
            return String::new();
        }
        let sign = if self.variables > 0 && random.chance(25) {
            "="
        } else {
            ":="
        };
        let names: Vec<String> = (0..count)
            .map(|_| {
                if sign == "=" || random.chance(20) && self.variables > 0 {
                    return format!("$v{}", random.below(self.variables.max(1)));
                }
                self.variables += 1;
                format!("$v{}", self.variables - 1)
            })
            .collect();
        format!("{} {sign} ", names.join(random.pick(&[", ", ",", " , "])))
    }

    fn action(&mut self, random: &mut Random) -> String {
        let mark = self.variables;
        let out = match random.below(13) {
            0 | 1 => self.branch(random, "if"),
            2 | 3 => self.branch(random, "with"),
            4 | 5 => self.range(random),
            6 => {
                let declared = self.declared(random, 1);
                let value = self.value(random);
                let (left, right) = (self.open(random), self.close(random));
                return format!("{left}{declared}{value}{right}");
            }
            7 if self.ranges > 0 => {
                let word = random.pick(&["break", "continue", "break "]);
                self.word(random, word)
            }
            8 => {
                let (left, right) = (self.open(random), self.close(random));
                let value = if random.chance(70) {
                    self.value(random)
                } else {
                    String::new()
                };
                let names = ["\"t\"", "\"u\"", "`t`", "\"\\u0074\"", "\"nope\""];
                let from = if self.is_definition { 4 } else { 0 };
                let name = random.pick(&names[from..]);
                format!("{left}template {name} {value}{right}")
            }
            9 => {
                let value = self.value(random);
                let ranges = std::mem::take(&mut self.ranges);
                let variables = std::mem::take(&mut self.variables);
                let body = self.list(random);
                (self.ranges, self.variables) = (ranges, variables);
                let name = random.below(1000);
                let (left, right) = (self.open(random), self.close(random));
                format!(
                    "{left}block \"b{name}\" {value}{right}{body}{}",
                    self.word(random, "end")
                )
            }
            10 => random
                .pick(&[
                    "{{/* c */}}",
                    "{{- /* c */ -}}",
                    "{{/* a\nb */}}",
                    "{{-\n/* c */}}",
                    "{{/**/}}",
                    "{{/* {{x}} */}}",
                    "{{/* c */\t-}}",
                    "{{- /* - */}}",
                ])
                .to_owned(),
            _ => {
                let value = self.value(random);
                self.word(random, &value)
            }
        };
        self.variables = mark;
        out
    }

    fn branch(&mut self, random: &mut Random, word: &str) -> String {
        let mark = self.variables;
        let mut out = String::new();
        let mut word = word.to_owned();
        loop {
            let declared = self.declared(random, 1);
            let value = self.value(random);
            out.push_str(&format!(
                "{}{word} {declared}{value}{}",
                self.open(random),
                self.close(random)
            ));
            out.push_str(&self.list(random));
            if !random.chance(25) {
                break;
            }
            if !word.starts_with("else ") {
                word = format!("else {word}");
            }
        }
        if random.chance(40) {
            out.push_str(&self.word(random, "else"));
            out.push_str(&self.list(random));
        }
        out.push_str(&self.word(random, "end"));
        self.variables = mark;
        out
    }

    fn range(&mut self, random: &mut Random) -> String {
        let mark = self.variables;
        let over = random.pick(&[
            "3",
            "0",
            "-1",
            "(sprig_list 1 \"b\" nil)",
            "(sprig_list)",
            "(sprig_dict \"b\" 1 \"a\" nil)",
            "(split \",\" \"p,q\")",
            "(loop 2 4)",
            "nil",
            "$",
            ".",
            "\"s\"",
            "1.5",
            "true",
            "(sprig_int64 2)",
            "(parseUint \"2\")",
            "(index \"\\x02\" 0)",
            "(sprig_until 2)",
            "(splitToMap \",\" \"=\" \"k=v\")",
            "(parseYAML \"{b: 1, 2: x, a: ~, 1: z}\")",
            "(sprig_chunk 2 (sprig_list 1 2 3))",
            "(sprig_dict).x",
            "1i",
            "(split \",\" \"\")",
        ]);
        let declared = self.declared(random, 2);
        let mut out = format!(
            "{}range {declared}{over}{}",
            self.open(random),
            self.close(random)
        );
        self.ranges += 1;
        out.push_str(&self.list(random));
        self.ranges -= 1;
        if random.chance(35) {
            out.push_str(&self.word(random, "else"));
            out.push_str(&self.list(random));
        }
        out.push_str(&self.word(random, "end"));
        self.variables = mark;
        out
    }
}

const DIGITS: &[&str] = &[
    "0",
    "1",
    "7",
    "9",
    "12",
    "a",
    "F",
    "_",
    ".",
    "e",
    "E",
    "p",
    "+",
    "-",
    "i",
    "1e5",
    "p2",
    "e-3",
    "18446744073709551615",
    "9223372036854775808",
];
const CHARACTERS: &[&str] = &[
    "a",
    "\\n",
    "\\'",
    "\\\"",
    "é",
    "\\x41",
    "\\101",
    "\\u00e9",
    "\\U0001F600",
    "\\xff",
    "\\400",
    "\\ud800",
    "\\q",
    "'",
    "\"",
    "\\",
    "\\U00110000",
    "\u{1f600}",
    "\t",
];
const LETTERS: &[&str] = &[
    "a",
    "\\n",
    "\\'",
    "\\\"",
    "é",
    "\\x41",
    "\\101",
    "\\u00e9",
    "\\U0001F600",
    "\\xff",
    "\\400",
    "\\ud800",
    "\\q",
    "'",
    "\\",
    "\\U00110000",
    "\t",
    "\\8",
    "\\x4",
    "\\u12",
    "\\a\\b\\f\\v\\r\\t\\\\",
    "\n",
    "\r",
];

/// Numbers, characters and strings made of pieces.
pub(super) fn literals(random: &mut Random) -> String {
    let mut out = String::new();
    for _ in 0..=random.below(2) {
        let piece = match random.below(4) {
            0 | 1 => {
                let sign = random.pick(&["", "", "", "+", "-"]);
                let base = random.pick(&["", "", "", "0", "0x", "0X", "0b", "0o", "0O", "0B"]);
                format!("{sign}{base}{}", random.several(DIGITS, 4))
            }
            2 => format!("'{}'", random.several(CHARACTERS, 2)),
            _ => {
                let inner = random.several(LETTERS, 3);
                let quote = random.pick(&["\"", "\"", "`"]);
                format!("{quote}{inner}{quote}")
            }
        };
        out.push(' ');
        out.push_str(&piece);
    }
    match random.below(5) {
        0 => out.trim_start().to_owned(),
        1 => format!("printf \"%T=%v|%T=%v\" {out} {out}"),
        2 => format!("add{out}"),
        3 => format!("indent{out} \"x\""),
        _ => format!("print{out}"),
    }
}

/// The same template between other delimiters.
pub(super) fn delimited(
    random: &mut Random,
    text: &[u8],
) -> (Vec<u8>, (&'static str, &'static str)) {
    let (left, right) = DELIMITERS[random.below(DELIMITERS.len())];
    let text = String::from_utf8_lossy(text);
    let or = |delimiter: &'static str, default: &'static str| {
        if delimiter.is_empty() {
            default
        } else {
            delimiter
        }
    };
    let text = text
        .replace("{{", "\u{1}")
        .replace("}}", or(right, "}}"))
        .replace('\u{1}', or(left, "{{"));
    (text.into_bytes(), (left, right))
}
