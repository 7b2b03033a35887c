//! One function at a time: every function there is, values of every type, every verb.

use super::random::{Random, literal};
use super::texts::{CONSTRAINTS, DATES, DURATIONS, LAYOUTS, NAMES, TEXTS, URLS, VERSIONS};
use super::{documents, urls};

/// Expressions of every dynamic type. None prints an address.
pub(super) const VALUES: &[&str] = &[
    "nil",
    "$",
    ".",
    "(index (sprig_dict) \"x\")",
    "(secret \"kv/app\").Data.data.nope",
    "(secret \"kv/app\").Data.data.note",
    "(secret \"kv/app\").Auth",
    "(secret \"kv/app\").WrapInfo",
    "(secret \"kv/app\").Warnings",
    "0",
    "1",
    "-1",
    "7",
    "255",
    "65",
    "'a'",
    "0x10FFFF",
    "0x110000",
    "-9223372036854775808",
    "9223372036854775807",
    "(sprig_int64 5)",
    "(add 1 -2)",
    "(parseUint \"7\")",
    "(parseUint \"18446744073709551615\")",
    "(index \"abc\" 1)",
    "0.0",
    "1.0",
    "-1.5",
    "2.5",
    "1e6",
    "1e21",
    "1e-7",
    "123456.75",
    "3.0e3",
    "0x1p-2",
    "-0.0",
    "1e308",
    "5e-324",
    "(parseFloat \"NaN\")",
    "(parseFloat \"Inf\")",
    "(parseFloat \"-Inf\")",
    "1i",
    "1+2i",
    "-2.5e3-1i",
    "0i",
    "true",
    "false",
    "\"\"",
    "\"a\"",
    "\"b c\"",
    "\"5\"",
    "\"-12\"",
    "\"1.5\"",
    "\"true\"",
    "`raw \\`",
    "\"\\xff\\xfe\"",
    "\"é\\u00df\\U0001F600\"",
    "\"\\x00\\t\\n\\r\\\"'`\"",
    "\"<&>\\u2028\"",
    "(secret \"kv/app\").Data.data.port",
    "(secret \"kv/app\").Data.data.big",
    "(secret \"kv/app\").Data.data.exp",
    "(secret \"kv/app\").Data.data.nested.n",
    "(sprig_list)",
    "(sprig_list 1 \"a\" 2.5 nil true)",
    "(sprig_list (sprig_list 1) (sprig_dict \"k\" nil))",
    "(sprig_list \"b\" \"a\" \"b\")",
    "(split \",\" \"x,y\")",
    "(split \",\" \"y,z,x\")",
    "(split \",\" \"\")",
    "(secrets \"kv/metadata\")",
    "(sprig_until 3)",
    "(sprig_until 0)",
    "(sprig_chunk 2 (sprig_list 1 \"b\" 3))",
    "(sprig_dict)",
    "(sprig_dict \"b\" 1 \"a\" \"x\")",
    "(sprig_dict \"a\" (sprig_dict \"b\" (sprig_list 1 nil)))",
    "(splitToMap \",\" \"=\" \"b=2,a=1\")",
    "(splitToMap \",\" \"=\" \"\")",
    "(parseYAML \"{b: 1, 2: x, true: [1.5, ~], 1: y, c: {d: e}}\")",
    "(parseYAML \"[{1: a}]\")",
    "(secret \"kv/app\").Data",
    "(secret \"kv/app\").Data.data",
    "(secret \"database/creds/ro\")",
    "(secret \"auth/token/create\" \"ttl=1h\").Auth.Metadata",
    "(secret \"auth/token/create\" \"ttl=1h\").Auth.Policies",
    "(parseJSON \"[1,\\\"b\\\",null,true,{\\\"k\\\":[]}]\")",
    "(parseJSON \"{\\\"n\\\":1e3,\\\"s\\\":\\\"t\\\"}\")",
    "(sprig_split \",\" \"x,y\")",
    "(sprig_toDate \"2006-01-02\" \"2024-02-03\")",
    "(parseYAML \"2024-02-03T04:05:06.7+02:00\")",
    "(sprig_semver \"1.2.3-rc.1+b\").Major",
];

/// Names and parameters: T text, N a valid text, I int, C a small count, F float, B bool, A anything, L list, S strings,
/// M map, J JSON, Y YAML, U URL, V version, K constraint, D date, O layout, H time, Z duration; `*` repeats the last.
const FUNCTIONS: &str = "print:A* println:A* html:A* js:A* urlquery:A* len:A index:AA index:LI index:MT index:TI index:AAA slice:AII slice:AI slice:TII \
slice:AIII slice:A not:A and:AA* or:AA* call:AA printf:TA* add:AA subtract:AA multiply:AA divide:AA modulo:AA minimum:AA maximum:AA toUpper:T toLower:T toTitle:T trim:TT \
trimPrefix:TT trimSuffix:TT trimSpace:T replaceAll:TTT split:TT join:TS splitToMap:TTT indent:CT base64Encode:T base64Decode:T base64URLEncode:T base64URLDecode:T sha256Hex:T \
md5sum:T hmacSHA256Hex:TT toJSON:A toJSONPretty:A toUnescapedJSON:A toUnescapedJSONPretty:A toYAML:A toTOML:M parseJSON:J parseYAML:Y parseBool:T parseInt:T parseUint:T \
parseFloat:T in:AA contains:AA in:TT in:LA containsAll:LA containsAny:LA containsNone:LA containsNotAll:LA containsAll:AA explodeMap:M mergeMap:MM mergeMapWithOverride:MM executeTemplate:TA executeTemplate:T executeTemplate:TAA env:T \
mustEnv:T envOrDefault:TT timestamp: timestamp:O timestamp:TT regexMatch:TT byTag:A byPort:A byKey:A byMeta:TA explode:A secrets:T spew_dump:A* spew_printf:TA* \
eq:AA eq:AAA ne:AA lt:AA le:AA gt:AA ge:AA eq:A lt:A \
sprig_default:AA sprig_default:A sprig_empty:A sprig_coalesce:A* sprig_all:A* sprig_any:A* sprig_ternary:AAB sprig_quote:A* sprig_squote:A* sprig_cat:A* sprig_toString:A sprig_toStrings:A sprig_toStrings:L sprig_trim:T sprig_trimAll:TT sprig_trimall:TT \
sprig_trimPrefix:TT sprig_trimSuffix:TT sprig_upper:T sprig_lower:T sprig_title:T sprig_untitle:T sprig_swapcase:T sprig_nospace:T sprig_initials:T sprig_indent:CT sprig_nindent:CT sprig_trunc:IT sprig_substr:IIT \
sprig_repeat:CT sprig_replace:TTT sprig_contains:TT sprig_hasPrefix:TT sprig_hasSuffix:TT sprig_plural:TTI sprig_abbrev:IT sprig_abbrevboth:IIT sprig_wrap:IT sprig_wrapWith:ITT sprig_snakecase:N sprig_camelcase:N sprig_kebabcase:N \
sprig_split:TT sprig_splitn:TIT sprig_splitList:TT sprig_join:TA sprig_join:TL sprig_sortAlpha:A sprig_sortAlpha:L sprig_atoi:T sprig_int:A sprig_int64:A sprig_float64:A sprig_add:A* sprig_sub:AA sprig_mul:AA* sprig_div:AA sprig_mod:AA sprig_max:AA* \
sprig_biggest:AA* sprig_min:AA* sprig_maxf:AF* sprig_minf:AF* sprig_addf:F* sprig_subf:FF* sprig_mulf:FF* sprig_divf:FF sprig_add1:A sprig_add1f:F sprig_ceil:A sprig_floor:A sprig_round:AC sprig_round:ACF sprig_seq:C* sprig_until:C sprig_untilStep:CCC sprig_toDecimal:A \
sprig_list:A* sprig_tuple:A* sprig_first:L sprig_mustFirst:A sprig_first:A sprig_last:L sprig_mustLast:A sprig_rest:L sprig_mustRest:A sprig_initial:L sprig_mustInitial:A sprig_append:LA sprig_push:AA sprig_mustAppend:AA sprig_mustPush:LA sprig_prepend:LA \
sprig_mustPrepend:AA sprig_concat:L* sprig_concat:A* sprig_reverse:L sprig_mustReverse:A sprig_uniq:L sprig_mustUniq:A sprig_without:LA* sprig_mustWithout:AA* sprig_has:AL sprig_mustHas:AA sprig_compact:L sprig_mustCompact:A sprig_slice:LII sprig_slice:L sprig_slice:LI sprig_mustSlice:AA* sprig_chunk:IL \
sprig_mustChunk:IA sprig_dict:TA sprig_dict:A* sprig_get:MT sprig_get:AT sprig_set:MTA sprig_unset:MT sprig_hasKey:MT sprig_pick:MT* sprig_omit:MT* sprig_pluck:TM* sprig_merge:MM sprig_merge:M* sprig_mergeOverwrite:MM sprig_mustMerge:MM sprig_mustMergeOverwrite:MM* \
sprig_deepCopy:A sprig_mustDeepCopy:A sprig_dig:TAM sprig_dig:TTAM sprig_dig:A* sprig_toJson:A sprig_toPrettyJson:A sprig_toRawJson:A sprig_fromJson:J sprig_mustToJson:A sprig_mustToPrettyJson:A sprig_mustToRawJson:A sprig_mustFromJson:J sprig_b64enc:T \
sprig_b64dec:T sprig_b32enc:T sprig_b32dec:T sprig_sha1sum:T sprig_sha256sum:T sprig_sha512sum:T sprig_adler32sum:T sprig_typeOf:A sprig_typeIs:TA sprig_typeIsLike:TA sprig_kindOf:A sprig_kindIs:TA sprig_deepEqual:AA sprig_base:T sprig_dir:T sprig_clean:T \
sprig_ext:T sprig_isAbs:T sprig_osBase:T sprig_osDir:T sprig_osClean:T sprig_osExt:T sprig_osIsAbs:T sprig_urlParse:U sprig_urlJoin:M sprig_urlJoin:Q sprig_urlJoin:Q sprig_duration:A sprig_duration:T sprig_durationRound:Z sprig_durationRound:A sprig_regexQuoteMeta:T \
sprig_fail:T sprig_hello: sprig_toDate:OD sprig_mustToDate:OD sprig_unixEpoch:H sprig_must_date_modify:ZH sprig_mustDateModify:ZH sprig_semver:V sprig_semverCompare:KV";

fn url_parts(random: &mut Random) -> String {
    let parts = urls::parts(random).into_iter();
    let parts: String = parts
        .map(|(name, text)| format!(" {} {}", literal(name.as_bytes()), literal(text.as_bytes())))
        .collect();
    format!("(sprig_dict{parts})")
}

fn text(random: &mut Random) -> String {
    match random.below(10) {
        0 => literal(&documents::awkward(random)),
        1 => "\"\\xff\\xfea\\xc3\"".to_owned(),
        _ => literal(random.pick(TEXTS).as_bytes()),
    }
}

const INTS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-3",
    "5",
    "10",
    "80",
    "0x7fffffffffffffff",
    "-9223372036854775808",
    "2.0",
    "2.5",
    "'b'",
];
const COUNTS: &[&str] = &["0", "1", "2", "3", "5", "-1", "-2", "\"2\"", "12", "1.0"];
const FLOATS: &[&str] = &[
    "0.5",
    "1.0",
    "-2.25",
    "1e6",
    "3",
    "\"1.1\"",
    "123456.75",
    "0",
    "-7",
    "0.1",
    "0.2",
    "1e-5",
    "\"x\"",
    "true",
    "10",
    "3.0",
    "7",
    "1e15",
];
const BOOLS: &[&str] = &["true", "false"];
const LISTS: &[&str] = &[
    "(sprig_list 1 \"a\" 2.5 nil)",
    "(sprig_list)",
    "(sprig_list \"b\" \"a\" \"b\" \"\" 0)",
    "(parseJSON \"[1,\\\"b\\\",null,true]\")",
    "(split \",\" \"x,y,z\")",
    "(sprig_until 4)",
    "(sprig_list (sprig_list 1) (sprig_dict) (sprig_list 1))",
    "(sprig_chunk 2 (sprig_until 5))",
    "(secrets \"kv/metadata\")",
    "(split \",\" \"\")",
];
const STRINGS: &[&str] = &[
    "(split \",\" \"x,y,z\")",
    "(sprig_splitList \" \" \"b a\")",
    "(split \",\" \"\")",
    "(secrets \"kv/metadata\")",
];
const MAPS: &[&str] = &[
    "(sprig_dict)",
    "(sprig_dict \"a\" 1 \"b\" \"x\" \"k\" nil)",
    "(sprig_dict \"a\" (sprig_dict \"b\" (sprig_dict \"k\" 1)) \"s\" \"\")",
    "(parseJSON \"{\\\"a/b\\\":1,\\\"a/c\\\":{\\\"d\\\":2},\\\"e\\\":\\\"\\\"}\")",
    "(sprig_dict \"a\" (sprig_list 1) \"n\" 0)",
    "(sprig_dict \"a\" 2 \"a/b\" 3)",
    "(sprig_dict \"a/b/\" 1 \"/c\" 2 \"d//e\" 3)",
    "(parseJSON \"{\\\"a\\\":{\\\"b\\\":{\\\"x\\\":1}},\\\"n\\\":[1]}\")",
    "(sprig_dict \"scheme\" \"http\" \"host\" \"h:1\" \"path\" \"/p q\" \"query\" \"a=b c\" \"fragment\" \"f g\" \"userinfo\" \"u:p\")",
    "(sprig_dict \"host\" \"h\" \"scheme\" 1)",
    "(sprig_dict \"scheme\" \"mailto\" \"opaque\" \"x@y\")",
    "(sprig_urlParse \"http://u:p@h:1/p?q=1#f\")",
    "(sprig_dict \"t\" true \"f\" 1.5 \"l\" (sprig_list (sprig_dict \"x\" 1)))",
];

fn argument(random: &mut Random, kind: u8) -> String {
    const LOOSE: &[u8] = b"TIFBLSMJYUVDOHZ";
    if LOOSE.contains(&kind) && random.chance(6) {
        return random.pick(VALUES).to_owned();
    }
    let words = match kind {
        b'T' => return text(random),
        b'J' => return documents::json(random),
        b'Y' => return documents::yaml(random),
        b'U' if random.chance(20) => return literal(random.pick(URLS).as_bytes()),
        b'U' => return literal(&urls::url(random)),
        b'Q' => return url_parts(random),
        b'V' => return literal(random.pick(VERSIONS).as_bytes()),
        b'K' => return literal(random.pick(CONSTRAINTS).as_bytes()),
        b'O' => return literal(random.pick(LAYOUTS).as_bytes()),
        b'D' => return literal(random.pick(DATES).as_bytes()),
        b'Z' => return literal(random.pick(DURATIONS).as_bytes()),
        b'N' => return literal(random.pick(NAMES).as_bytes()),
        b'H' => {
            let (layout, date) = (random.pick(LAYOUTS), random.pick(DATES));
            let (layout, date) = (literal(layout.as_bytes()), literal(date.as_bytes()));
            return format!("(sprig_toDate {layout} {date})");
        }
        b'I' => INTS,
        b'C' => COUNTS,
        b'F' => FLOATS,
        b'B' => BOOLS,
        b'L' => LISTS,
        b'S' => STRINGS,
        b'M' => MAPS,
        _ => VALUES,
    };
    random.pick(words).to_owned()
}

/// One call of any function, shown in one of several ways.
pub(super) fn call(random: &mut Random) -> String {
    let all: Vec<&str> = FUNCTIONS.split_whitespace().collect();
    let (name, kinds) = random.pick(&all).split_once(':').unwrap_or_default();
    let mut args = Vec::new();
    let kinds = kinds.as_bytes();
    for (index, &kind) in kinds.iter().enumerate() {
        if kind == b'*' {
            let repeated = kinds[index - 1];
            args.extend((0..random.below(4)).map(|_| argument(random, repeated)));
        } else {
            args.push(argument(random, kind));
        }
    }
    if random.chance(3) {
        args.pop();
    }
    let is_special = matches!(
        name,
        "byTag" | "byPort" | "byKey" | "byMeta" | "sprig_durationRound"
    );
    // Some functions change what they are given.
    if !is_special
        && random.chance(10)
        && let Some(first) = args.first_mut().filter(|first| first.as_str() != "nil")
    {
        let first = std::mem::replace(first, "$a".to_owned());
        let call = format!("{name} {}", args.join(" "));
        return format!("$a := {first}}}}}{{{{printf \"%v %v\" ({call}) $a");
    }
    let piped = if random.chance(15) { args.pop() } else { None };
    let mut call = format!("{name} {}", args.join(" "));
    if let Some(piped) = piped.filter(|piped| piped != "nil") {
        call = format!("{piped} | {call}");
    }
    // Values of Consul have no type here, and a function of Sprig that asks for the time since another reads a clock
    // that nobody stops.
    if matches!(name, "byTag" | "byPort" | "byKey" | "byMeta") {
        return format!("len ({call})");
    }
    if name == "sprig_durationRound" && call.contains("2024-02-03") {
        return format!("if {call}}}}}{{{{end");
    }
    match random.below(8) {
        0 => format!("printf \"%#v\" ({call})"),
        1 => format!("printf \"%T %v\" ({call}) ({call})"),
        2 => format!("toJSON ({call})"),
        3 => format!("toYAML ({call})"),
        _ => call,
    }
}

/// `printf` with random flags, widths, precisions, indexes and verbs.
pub(super) fn formatted(random: &mut Random) -> String {
    let mut format = String::new();
    let mut values = String::new();
    for _ in 0..=random.below(2) {
        format.push_str(random.pick(&["", "", "x", "%%", "é", "\\xff"]));
        format.push('%');
        format.push_str(&random.several(&["+", "-", "#", " ", "0"], 3));
        format.push_str(random.pick(&[
            "",
            "",
            "",
            "",
            "5",
            "12",
            "1",
            "*",
            "[1]",
            "[2]*",
            "[1",
            "[x]",
            "[0]",
            "[9]",
            "1000000000",
        ]));
        format.push_str(random.pick(&[
            "", "", "", "", ".", ".0", ".2", ".5", ".20", ".*", ".[1]*", ".-1", ".x",
        ]));
        format.push_str(random.pick(&["", "", "", "", "", "[1]", "[2]"]));
        format.push_str(random.pick(&[
            "v", "v", "d", "s", "q", "x", "X", "T", "t", "b", "o", "O", "c", "U", "e", "E", "f",
            "F", "g", "G", "z", "é", "!", "w", "",
        ]));
        for _ in 0..random.below(3) {
            let value = random.pick(VALUES);
            // Some verbs show what a time is made of, which is of no interest.
            if !value.contains("toDate") {
                values.push(' ');
                values.push_str(value);
            }
        }
    }
    format!("printf \"{format}\"{values}")
}

/// Two values of any type compared.
pub(super) fn compared(random: &mut Random) -> String {
    let name = random.pick(&[
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and",
        "or",
        "in",
        "contains",
        "sprig_deepEqual",
        "add",
        "subtract",
        "multiply",
        "divide",
        "modulo",
        "minimum",
        "maximum",
        "index",
        "slice",
    ]);
    let args: Vec<&str> = (0..2 + usize::from(random.chance(10)))
        .map(|_| random.pick(VALUES))
        .collect();
    format!("{name} {}", args.join(" "))
}

/// Any value, asked for any field or method.
pub(super) fn member(random: &mut Random) -> String {
    let value = random.pick(VALUES);
    let receiver = match random.below(4) {
        0 => "scratch",
        1 => "(secret \"kv/app\")",
        2 => "(sprig_semver \"v1.2.3-rc.1+b\")",
        _ if value.starts_with('(') && !value.ends_with(|c: char| c.is_alphabetic()) => value,
        _ => "(parseYAML \"2024-02-03T04:05:06.7+02:00\")",
    };
    let name = random.pick(&[
        "Key",
        "Get",
        "Set",
        "SetX",
        "MapSet",
        "MapSetX",
        "MapValues",
        "Data",
        "Data.data",
        "Data.data.user",
        "Auth",
        "Auth.Accessor",
        "Auth.Nope",
        "values",
        "once",
        "String",
        "Int64",
        "Float64",
        "Unix",
        "Format",
        "Year",
        "Major",
        "Prerelease",
        "a",
        "a.b",
        "b",
        "x.y",
        "RequestID",
        "nope",
        "Original",
        "Metadata",
        "IncPatch",
        "Data.nope.x",
    ]);
    let args: Vec<String> = (0..random.below(4))
        .map(|_| {
            if random.chance(50) {
                literal(random.pick(&["k", "m", "2006-01-02", "x"]).as_bytes())
            } else {
                random.pick(VALUES).to_owned()
            }
        })
        .collect();
    let piped = if random.chance(10) { " | print" } else { "" };
    format!("{receiver}.{name} {}{piped}", args.join(" "))
}
