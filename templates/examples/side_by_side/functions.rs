//! Functions of texts, lists and maps, each on a small, a middle and a large argument.

/// The argument `$t`, for a size in lines or elements.
enum Argument {
    /// So many lines of ASCII, 32 bytes each.
    Lines,
    /// The same, with letters beyond ASCII.
    Foreign,
    /// The pieces of the lines.
    Words,
    /// So many keys in a map.
    Map,
    /// The same as a JSON text.
    Json,
}

impl Argument {
    /// How many lines or elements.
    fn sizes(&self) -> [usize; 3] {
        match self {
            Self::Lines | Self::Foreign | Self::Words => [3, 320, 40_000],
            Self::Map | Self::Json => [3, 200, 20_000],
        }
    }

    fn template(&self, size: usize) -> String {
        let lines = |line: &str| format!("{{{{$t := sprig_repeat {size} `{line}`}}}}");
        let ascii = "Key_42=Some value, of text; end\n";
        let map = format!(
            "{{{{$t := sprig_dict}}}}{{{{range $i := {size}}}}}{{{{$_ := sprig_set $t (printf `KEY_%05d` $i) (print \
             `value <` $i)}}}}{{{{end}}}}"
        );
        match self {
            Self::Lines => lines(ascii),
            Self::Foreign => lines("Schlüssel=größer, où ça; été, Ω\n"),
            Self::Words => format!("{}{{{{$t = sprig_splitList ` ` $t}}}}", lines(ascii)),
            Self::Map => map,
            Self::Json => format!("{map}{{{{$t := toJSON $t}}}}"),
        }
    }
}

use Argument::{Foreign, Json, Lines, Map, Words};

/// The name of each row, its argument, and the template that uses it as `$t`.
const ROWS: &[(&str, Argument, &str)] = &[
    (
        "regexMatch, none",
        Lines,
        "{{$x := regexMatch `[a-z]+[0-9]` $t}}",
    ),
    (
        "regexReplaceAll",
        Lines,
        "{{$x := regexReplaceAll `[0-9]+` `<$0>` $t}}",
    ),
    (
        "regexReplaceAll, groups",
        Lines,
        "{{$x := regexReplaceAll `(\\w+)=(\\w+)` `$2=$1` $t}}",
    ),
    (
        "regexReplaceAll, (?m)^",
        Lines,
        "{{$x := regexReplaceAll `(?m)^` `  ` $t}}",
    ),
    (
        "regexReplaceAll, spaces",
        Lines,
        "{{$x := regexReplaceAll `\\s+` ` ` $t}}",
    ),
    (
        "regexReplaceAll, not ASCII",
        Foreign,
        "{{$x := regexReplaceAll `\\pL+` `<$0>` $t}}",
    ),
    (
        "regexFindAll",
        Lines,
        "{{$x := sprig_regexFindAll `[a-z]+_[0-9]+|[a-z]+;` $t -1}}",
    ),
    (
        "regexFindAll, (?i)",
        Lines,
        "{{$x := sprig_regexFindAll `(?i)value|key` $t -1}}",
    ),
    (
        "regexSplit",
        Lines,
        "{{$x := sprig_regexSplit `[,;] *` $t -1}}",
    ),
    ("split", Lines, "{{$x := split ` ` $t}}"),
    ("split and join", Lines, "{{$x := split ` ` $t | join `,`}}"),
    ("splitList", Lines, "{{$x := sprig_splitList `, ` $t}}"),
    ("join", Words, "{{$x := join `,` $t}}"),
    ("sprig_join", Words, "{{$x := sprig_join `,` $t}}"),
    ("range over words", Words, "{{range $t}}{{end}}"),
    ("sortAlpha", Words, "{{$x := sprig_sortAlpha $t}}"),
    ("uniq", Words, "{{$x := sprig_uniq $t}}"),
    ("has", Words, "{{$x := sprig_has `no` $t}}"),
    ("in", Words, "{{$x := in $t `no`}}"),
    ("reverse", Words, "{{$x := sprig_reverse $t}}"),
    ("toJSON of a list", Words, "{{$x := toJSON $t}}"),
    ("toLower", Lines, "{{$x := toLower $t}}"),
    ("toUpper", Lines, "{{$x := toUpper $t}}"),
    ("toTitle", Lines, "{{$x := toTitle $t}}"),
    ("sprig_title", Lines, "{{$x := sprig_title $t}}"),
    ("toLower, not ASCII", Foreign, "{{$x := toLower $t}}"),
    ("toUpper, not ASCII", Foreign, "{{$x := toUpper $t}}"),
    ("toTitle, not ASCII", Foreign, "{{$x := toTitle $t}}"),
    ("snakecase", Lines, "{{$x := sprig_snakecase $t}}"),
    (
        "replaceAll",
        Lines,
        "{{$x := replaceAll `value` `worth` $t}}",
    ),
    (
        "replaceAll, one byte",
        Lines,
        "{{$x := replaceAll `e` `E` $t}}",
    ),
    ("contains", Lines, "{{$x := contains `no such` $t}}"),
    ("trimSpace", Lines, "{{$x := trimSpace $t}}"),
    ("trim", Lines, "{{$x := trim `\n ;den` $t}}"),
    ("trimSuffix", Lines, "{{$x := trimSuffix `\n` $t}}"),
    ("trunc", Lines, "{{$x := sprig_trunc 50 $t}}"),
    ("nospace", Lines, "{{$x := sprig_nospace $t}}"),
    ("indent", Lines, "{{$x := indent 4 $t}}"),
    ("nindent", Lines, "{{$x := sprig_nindent 4 $t}}"),
    ("wrap", Lines, "{{$x := sprig_wrap 20 $t}}"),
    ("base64Encode", Lines, "{{$x := base64Encode $t}}"),
    (
        "base64 there and back",
        Lines,
        "{{$x := base64Encode $t | base64Decode}}",
    ),
    (
        "base32 there and back",
        Lines,
        "{{$x := sprig_b32enc $t | sprig_b32dec}}",
    ),
    ("sha256Hex", Lines, "{{$x := sha256Hex $t}}"),
    ("sha1sum", Lines, "{{$x := sprig_sha1sum $t}}"),
    ("sha512sum", Lines, "{{$x := sprig_sha512sum $t}}"),
    ("md5sum", Lines, "{{$x := md5sum $t}}"),
    ("adler32sum", Lines, "{{$x := sprig_adler32sum $t}}"),
    ("hmacSHA256Hex", Lines, "{{$x := hmacSHA256Hex $t `key`}}"),
    ("toJSON of a text", Lines, "{{$x := toJSON $t}}"),
    (
        "toJSON of a text, not ASCII",
        Foreign,
        "{{$x := toJSON $t}}",
    ),
    ("toYAML of a text", Lines, "{{$x := toYAML $t}}"),
    ("printf %s", Lines, "{{$x := printf `%s-%d` $t 42}}"),
    ("printf %q", Lines, "{{$x := printf `%q` $t}}"),
    ("print", Lines, "{{$x := print $t $t}}"),
    ("cat", Lines, "{{$x := sprig_cat $t $t}}"),
    ("quote", Lines, "{{$x := sprig_quote $t}}"),
    ("squote", Lines, "{{$x := sprig_squote $t}}"),
    ("html", Lines, "{{$x := html $t}}"),
    ("js", Lines, "{{$x := js $t}}"),
    ("urlquery", Lines, "{{$x := urlquery $t}}"),
    ("toJSON", Map, "{{$x := toJSON $t}}"),
    ("toJSONPretty", Map, "{{$x := toJSONPretty $t}}"),
    ("toYAML", Map, "{{$x := toYAML $t}}"),
    ("toTOML", Map, "{{$x := toTOML $t}}"),
    ("print of a map", Map, "{{$x := print $t}}"),
    ("keys", Map, "{{$x := sprig_keys $t}}"),
    ("values", Map, "{{$x := sprig_values $t}}"),
    ("hasKey", Map, "{{$x := sprig_hasKey $t `KEY_00001`}}"),
    ("deepCopy", Map, "{{$x := sprig_deepCopy $t}}"),
    ("merge", Map, "{{$x := sprig_merge (sprig_dict `a` 1) $t}}"),
    (
        "range over keys",
        Map,
        "{{range $k, $v := $t}}export {{$k}}={{$v | toJSON}}\n{{end}}",
    ),
    (
        "nested range",
        Map,
        "{{range $k, $v := $t}}{{range $i := 3}}{{$k}}-{{$i}},{{end}}{{end}}",
    ),
    (
        "if and eq",
        Map,
        "{{range $k, $v := $t}}{{if and (eq $v `x`) (ne $k `y`)}}a{{else}}b{{end}}{{end}}",
    ),
    ("parseJSON", Json, "{{$x := parseJSON $t}}"),
    ("parseYAML", Json, "{{$x := parseYAML $t}}"),
];

/// One function on arguments of three sizes: the text that makes the argument, and the text that is measured with it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) sizes: [(String, String); 3],
}

/// How often a row calls its function after it has made the argument.
pub(crate) const CALLS: usize = 4;

pub(crate) fn rows() -> Vec<Row> {
    let row = |&(name, ref argument, call): &(&'static str, Argument, &str)| Row {
        name,
        sizes: argument.sizes().map(|size| {
            let padding = match size > 1_000 {
                // Fewer rounds, where one is long.
                true => "{{sprig_repeat 1048576 ` `}}",
                false => "",
            };
            let made = argument.template(size) + padding;
            let called = format!("{made}{}", call.repeat(CALLS));
            (made, called)
        }),
    };
    ROWS.iter().map(row).collect()
}
