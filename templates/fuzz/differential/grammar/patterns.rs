//! Regular expressions, sound and broken.

use super::random::{Random, literal};

const ATOMS: &[&str] = &[
    "a",
    "b",
    "ab",
    "x",
    ".",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\b",
    "\\B",
    "^",
    "$",
    "\\A",
    "\\z",
    "\\Z",
    "\\C",
    "\\Q.*\\E",
    "\\Qa",
    "[abc]",
    "[^abc]",
    "[a-z]",
    "[z-a]",
    "[]a]",
    "[^]a]",
    "[a",
    "[\\d\\-x]",
    "[[:alpha:]]",
    "[[:^digit:]]",
    "[[:word:]]",
    "[[:foo:]]",
    "[\\pL]",
    "[^\\PN]",
    "[a-\\d]",
    "[a-]",
    "[-a]",
    "[\\x41-\\x{5a}]",
    "\\pL",
    "\\PL",
    "\\p{Lu}",
    "\\p{^Lu}",
    "\\p{Greek}",
    "\\P{Cyrillic}",
    "\\p{Foo}",
    "\\pQ",
    "\\p",
    "\\p{",
    "\\p{L}",
    "\\x41",
    "\\x{e9}",
    "\\x",
    "\\x{110000}",
    "\\x{}",
    "\\x{zz}",
    "\\101",
    "\\1",
    "\\8",
    "\\0",
    "\\07",
    "\\n",
    "\\t",
    "\\a",
    "\\f",
    "\\v",
    "\\r",
    "\\e",
    "\\y",
    "\\_",
    "\\-",
    "\\.",
    "\\",
    "é",
    "[é-ü]",
    "\\é",
    "(?i)",
    "(?i:k)",
    "(?s).",
    "(?m)^b",
    "(?m)b$",
    "(?U)a+",
    "(?-i)A",
    "(?i-s:A.)",
    "(?",
    "(?P<n>a)",
    "(?P<n",
    "(?P<>a)",
    "(?P<1>a)",
    "(?P<é>a)",
    "(?<n>b)",
    "(?<m>x)",
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "(?i",
    "(?i:",
    "(?x)",
    "(?)",
    "(?-)",
    "(?i-i)",
    "()",
    "(",
    ")",
    "(a",
    "a)",
    "[[:alpha:]-z]",
    "[[.a.]]",
    "[:alpha:]",
    "(?:a|b)",
    "(a|b)*",
    "|",
    "||",
    "a|",
    "|a",
    "[\u{1f600}]",
    "[a-zA-Z0-9_]+",
    "\\p{Latin}",
    "\\p{Any}",
    "\\p{Nd}",
    "\\p{Zs}",
    "\\p{Lo}",
    "[[:punct:]]",
    "[^\\n]",
    "[^\\x00-\\x{10FFFF}]",
    "(?s)[^a]",
    "\\x{212a}",
    "(?i)\u{212a}",
    "(?i)ß",
    "(?i)[k-s]",
    "(?i)\\x{17f}",
];
const REPEATS: &[&str] = &[
    "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{2,}", "{0}", "{0,0}", "{,2}", "{2,1}",
    "{1001}", "{1000}", "{a}", "{1,2}?", "**", "*+", "++", "?*", "{2}{3}", "{", "{1", "{1,", "}",
    "{01}", "{1,1001}", "{ 1}",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "aab",
    "abba",
    "xaybz",
    "a b",
    "a\nb",
    "\nb\n",
    "ABC abc",
    "12a34",
    "é",
    "Éé",
    "ab\u{212a}k",
    "ſsS",
    "\u{1f600}",
    "-_.",
    "aaaa",
    "ßẞ",
    "abcabc",
    "a.*b",
    "Ωω",
    "ДА да",
    "\x0b\x0c\t ",
];

fn pattern(random: &mut Random) -> Vec<u8> {
    let mut out = String::new();
    for _ in 0..=random.below(4) {
        if random.chance(10) {
            let inner = random.pick(ATOMS);
            out.push_str(&format!("({inner}{})", random.pick(REPEATS)));
        } else {
            out.push_str(random.pick(ATOMS));
        }
        if random.chance(30) {
            out.push_str(random.pick(REPEATS));
        }
        if random.chance(10) {
            out.push('|');
        }
    }
    let mut bytes = out.into_bytes();
    if random.chance(5) {
        random.mutate(&mut bytes, b"()[]{}*+?|\\^$.,-0a\xff\xc3");
    }
    bytes
}

fn text(random: &mut Random) -> String {
    let mut bytes = random.several(TEXTS, 4).into_bytes();
    if random.chance(10) {
        random.mutate(&mut bytes, b"\xff\xc3\x00ab\n");
    }
    literal(&bytes)
}

/// One call with a pattern.
pub(super) fn call(random: &mut Random) -> String {
    let regex = literal(&pattern(random));
    let text = text(random);
    let replacement = literal(
        random
            .several(
                &[
                    "", "X", "$1", "${1}x", "<$0>", "$n", "$$", "$1x", "${n}", "$", "${", "$2",
                    "é", "${1", "$é", "${é}", "\\1",
                ],
                2,
            )
            .as_bytes(),
    );
    let must = random.pick(&["", "", "must"]);
    let name = |rest: &str| match must {
        "" => format!("sprig_r{rest}"),
        _ => format!("sprig_mustR{rest}"),
    };
    let count = random.pick(&["-1", "-1", "0", "1", "2", "-5"]);
    match random.below(9) {
        0 => format!("regexMatch {regex} {text}"),
        1 | 2 => format!("regexReplaceAll {regex} {replacement} {text}"),
        3 => format!("{} {regex} {text}", name("egexMatch")),
        4 => format!(
            "{} {regex} {text} {count} | printf \"%q\"",
            name("egexFindAll")
        ),
        5 => format!(
            "{} {regex} {text} {count} | printf \"%q\"",
            name("egexSplit")
        ),
        6 => format!("{} {regex} {text}", name("egexFind")),
        7 => format!("{} {regex} {text} {replacement}", name("egexReplaceAll")),
        _ => format!(
            "{} {regex} {text} {replacement}",
            name("egexReplaceAllLiteral")
        ),
    }
}
