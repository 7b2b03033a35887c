//! Schedules as people write them, and as they get them wrong.

use planescape_tests::chance::Chance;

struct Field {
    least: usize,
    greatest: usize,
    names: &'static [&'static str],
    /// One schedule in so many restricts it.
    seldom: usize,
}

const FIELDS: [Field; 5] = [
    Field {
        least: 0,
        greatest: 59,
        names: &[],
        seldom: 1,
    },
    Field {
        least: 0,
        greatest: 23,
        names: &[],
        seldom: 1,
    },
    Field {
        least: 1,
        greatest: 31,
        names: &[],
        seldom: 3,
    },
    Field {
        least: 1,
        greatest: 12,
        names: &[
            "jan", "FEB", "Mar", "apr", "MAY", "jun", "jul", "aug", "SEP", "oct", "nov", "dec",
        ],
        seldom: 4,
    },
    Field {
        least: 0,
        greatest: 6,
        names: &["SUN", "mon", "Tue", "WED", "thu", "FRI", "sat"],
        seldom: 3,
    },
];

const DESCRIPTORS: [&str; 10] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
    "@Daily",
    "@reboot",
    "@hourly ",
];

const SLIPS: [&str; 24] = [
    "*", "/", "-", ",", "?", " ", "0", "7", "60", "24", "L", "W", "#", "+", "@", ".", "~", "1-",
    "/0", "**", "H", "é", "MON", "\t",
];

/// One schedule.
pub(crate) fn schedule(chance: &mut Chance) -> String {
    let mut text = match chance.below(20) {
        0 => chance.pick(&DESCRIPTORS).to_owned(),
        1 => format!("@every {}", duration(chance)),
        _ => {
            let blank = if chance.once_in(20) { "  " } else { " " };
            FIELDS.map(|of| field(chance, &of)).join(blank)
        }
    };
    if chance.once_in(3) {
        for _ in 0..=chance.below(3) {
            slip(chance, &mut text);
        }
    }
    text
}

fn duration(chance: &mut Chance) -> String {
    let mut text = String::new();
    for _ in 0..=chance.below(3) {
        let number = chance.below(100);
        let fraction = match chance.below(4) {
            0 => format!(".{}", chance.below(1_000)),
            _ => String::new(),
        };
        let unit = chance.pick(&["h", "m", "s", "ms", "us", "ns", "d", ""]);
        text += &format!("{number}{fraction}{unit}");
    }
    text
}

fn field(chance: &mut Chance, of: &Field) -> String {
    if !chance.once_in(of.seldom) {
        return chance.pick(&["*", "*", "*", "?", "*/1"]).to_owned();
    }
    let items = if chance.once_in(4) {
        1 + chance.below(4)
    } else {
        1
    };
    let items: Vec<String> = (0..items).map(|_| item(chance, of)).collect();
    items.join(",")
}

fn item(chance: &mut Chance, of: &Field) -> String {
    let range = match chance.below(6) {
        0 => "*".to_owned(),
        1 | 2 => {
            let (a, b) = (any(chance, of), any(chance, of));
            let (low, high) = if chance.once_in(10) {
                (a.max(b), a.min(b))
            } else {
                (a.min(b), a.max(b))
            };
            format!("{}-{}", shown(chance, of, low), shown(chance, of, high))
        }
        _ => {
            let value = any(chance, of);
            shown(chance, of, value)
        }
    };
    match chance.below(4) {
        0 => format!("{range}/{}", 1 + chance.below(of.greatest + 3)),
        _ => range,
    }
}

fn any(chance: &mut Chance, of: &Field) -> usize {
    of.least + chance.below(of.greatest - of.least + 1)
}

fn shown(chance: &mut Chance, of: &Field, value: usize) -> String {
    match of.names.get(value - of.least) {
        Some(name) if chance.once_in(3) => (*name).to_owned(),
        Some(_) | None if chance.once_in(20) => format!("0{value}"),
        Some(_) | None => value.to_string(),
    }
}

/// Takes a letter out, puts something in, or both.
fn slip(chance: &mut Chance, text: &mut String) {
    let mut letters: Vec<String> = text.chars().map(String::from).collect();
    let at = chance.below(letters.len() + 1);
    if chance.once_in(2) && at < letters.len() {
        letters.remove(at);
    }
    if !chance.once_in(3) {
        letters.insert(at.min(letters.len()), chance.pick(&SLIPS).to_owned());
    }
    *text = letters.concat();
}
