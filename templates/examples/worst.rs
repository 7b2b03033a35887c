//! The cost of the worst templates under the default limits, in `lint` as in `render`: time and the most memory of a
//! process of its own for each.
//!
//! ```console
//! $ cargo run --release -p planescape-templates --example worst
//! $ cargo run --release -p planescape-templates --example worst -- render FILE
//! ```

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]
#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::process::Command;
use std::time::Instant;

use planescape_templates::lint::lint;
use planescape_templates::{Answers, Environment, Options, Template};

#[expect(clippy::too_many_lines, reason = "a list has no parts")]
fn cases() -> Vec<(&'static str, String)> {
    let ten_million = |inner: &str| format!("{{{{range 10000000}}}}{inner}{{{{end}}}}");
    let million = "(sprig_repeat 1000000 `a,`)";
    vec![
        ("ten million empty steps", ten_million("")),
        ("ten million regular expressions", ten_million("{{regexMatch `(a*)*b` `aaaaaaaa`}}")),
        ("ten million times one pattern", ten_million("{{regexReplaceAll `(?i)\\pL{9}(x|y)*` `b` `c`}}")),
        (
            "ten million patterns",
            "{{range $i := loop 10000000}}{{regexReplaceAll (print `(?i)x{9}(x|y)*` $i) `b` `c`}}{{end}}".to_owned(),
        ),
        ("a pattern of many states", "{{$t := sprig_repeat 5000000 `abbab`}}{{len (regexReplaceAll `(a|b)*a(a|b){14}|c` `` $t)}}".to_owned()),
        ("a match for each byte", "{{$t := sprig_repeat 30000000 `a`}}{{len (regexReplaceAll `.` `b` $t)}}".to_owned()),
        ("groups for each byte", "{{$t := sprig_repeat 30000000 `a`}}{{len (regexReplaceAll `(.)` `$1` $t)}}".to_owned()),
        ("groups in a long match", "{{$t := sprig_repeat 30000000 `a`}}{{len (regexReplaceAll `(a*)a` `$1` $t)}}".to_owned()),
        ("each match looks at the rest", "{{$t := sprig_repeat 3000000 `a`}}{{len (regexReplaceAll `a(.*b)?` `` $t)}}".to_owned()),
        ("a pattern of many classes", "{{range $i := loop 5000}}{{regexMatch (sprig_repeat 300 `[^a][^b][^é]\\pL`) `abc`}}{{end}}".to_owned()),
        ("ten million YAML documents", ten_million("{{$x := parseYAML `{a: [b, c], d: e}`}}")),
        ("ten million JSON documents", ten_million("{{$x := parseJSON `{\"a\": [1, 2], \"b\": {}}`}}")),
        ("ten million times toYAML", ten_million("{{$x := toYAML (sprig_dict `a` 1 `b` `x: y`)}}")),
        ("ten million times printf", ten_million("{{$x := printf `%08.3f %q %v` 1.5 `a` 2}}")),
        ("ten million versions", ten_million("{{$x := sprig_semverCompare `^1.2 || >3` `1.2.3-a`}}")),
        ("ten million dates", ten_million("{{$x := timestamp `Monday, 02 January 2006 15:04:05.000 MST`}}")),
        ("ten million decimals", ten_million("{{$x := sprig_divf 1 3 7 11}}")),
        (
            "nested repetitions",
            "{{$t := sprig_repeat 50000 `a`}}{{regexMatch `((((((a?){0,1000})?)*)*)*)b` $t}}".to_owned(),
        ),
        ("no match in 50 MB", "{{$t := sprig_repeat 50000000 `a`}}{{regexMatch `a*b` $t}}".to_owned()),
        (
            "nested values",
            "{{$s := sprig_list 1}}{{range 200000}}{{$s = sprig_list $s}}{{end}}done".to_owned(),
        ),
        (
            "a copy of shared values",
            "{{$s := sprig_dict `a` 1}}{{range 64}}{{$s = sprig_dict `a` $s `b` $s}}{{end}}{{len (sprig_deepCopy $s)}}"
                .to_owned(),
        ),
        (
            "shared values compared",
            "{{$l := sprig_list 1}}{{$m := sprig_list 1}}{{range 64}}{{$l = sprig_list $l $l}}{{$m = sprig_list $m $m}}{{end}}{{sprig_deepEqual $l $m}}"
                .to_owned(),
        ),
        (
            "shared values printed",
            "{{$l := sprig_list}}{{range 64}}{{$l = sprig_list $l $l}}{{end}}{{len (print $l)}}{{toJSON $l}}".to_owned(),
        ),
        (
            "shared values merged",
            "{{$s := sprig_dict `a` 1}}{{$t := sprig_dict `a` 1}}{{range 64}}{{$s = sprig_dict `a` $s `b` $s}}{{$t = sprig_dict `a` $t `b` $t}}{{end}}{{len (mergeMap $s $t)}}"
                .to_owned(),
        ),
        ("100,000 elements made unique", "{{len (sprig_uniq (sprig_until 100000))}}".to_owned()),
        ("an indentation of a gigabyte", "{{indent 1000000000 `a`}}".to_owned()),
        ("the same for nindent", "{{sprig_nindent 1000000000 `a`}}".to_owned()),
        ("a million pieces sorted", format!("{{{{len (sprig_sortAlpha (split `,` {million}))}}}}")),
        (
            "64 MiB split and joined",
            "{{len (join `;` (split `,` (sprig_repeat 33000000 `a,`)))}}".to_owned(),
        ),
        ("64 MiB of characters", "{{len (sprig_splitList `` (sprig_repeat 60000000 `a`))}}".to_owned()),
        ("numbered pieces", format!("{{{{len (sprig_split `,` {million})}}}}")),
        ("JSON of many elements", format!("{{{{len (parseJSON (print `[0` (replaceAll `a,` `,1` {million}) `]`))}}}}")),
        ("YAML of many elements", format!("{{{{len (parseYAML (print `[0` (replaceAll `a,` `,1` {million}) `]`))}}}}")),
        ("50 MB of escapes", "{{len (html (sprig_repeat 50000000 `<`))}}".to_owned()),
        ("50 MB quoted", "{{len (printf `%q` (sprig_repeat 15000000 `\x01`))}}".to_owned()),
        ("50 MB in other case", "{{len (toTitle (sprig_repeat 25000000 `é`))}}".to_owned()),
        ("50 MB in snake case", "{{len (sprig_snakecase (sprig_repeat 25000000 `aB`))}}".to_owned()),
        (
            "a needle like its haystack",
            "{{$s := sprig_repeat 8000000 `a`}}{{$n := print (sprig_repeat 4000000 `a`) `b`}}{{contains $n $s}}{{len (replaceAll $n `` $s)}}".to_owned(),
        ),
        ("a list that grows", "{{$l := sprig_list}}{{range 100000}}{{$l = sprig_append $l .}}{{end}}".to_owned()),
        ("a map that grows", "{{range $i := loop 10000000}}{{scratch.MapSet `a` (print $i) $i}}{{end}}".to_owned()),
        ("lists in lists", ten_million("{{scratch.Set `a` (sprig_list (scratch.Get `a`))}}")),
        (
            "many variables",
            (0..200_000).map(|n| format!("{{{{$v{n} := {n}}}}}{{{{$v{n}}}}}")).collect::<String>()[..4_000_000]
                .rsplit_once("{{$v")
                .map_or_else(String::new, |(whole, _)| whole.to_owned()),
        ),
        ("a long name", format!("{{{{{}}}}}", "a".repeat(4_000_000))),
        ("many actions", "{{.}}".repeat(800_000)),
        ("many parentheses", format!("{{{{print{}}}}}", " (1)".repeat(900_000))),
        ("a replacement of many groups", "{{len (regexReplaceAll `(a*)` (sprig_repeat 1000000 `$1`) (sprig_repeat 1000000 `a`))}}".to_owned()),
        ("groups that are not there", "{{len (regexReplaceAll `(a)` (sprig_repeat 1000000 `$2`) (sprig_repeat 1000000 `a`))}}".to_owned()),
        ("many terms in a range", ten_million(&format!("{{{{if and{}}}}}{{{{end}}}}", " 1".repeat(100_000)))),
        (
            "many fields in a range",
            "{{$s := sprig_dict}}{{range 900}}{{$s = sprig_dict `a` $s}}{{end}}".to_owned()
                + &ten_million(&format!("{{{{$x := $s{}}}}}", ".a".repeat(900))),
        ),
        ("each letter on a line of its own", "{{len (sprig_wrapWith 1 `x` (sprig_repeat 10000000 `a`))}}".to_owned()),
        ("a long sequence", "{{len (sprig_seq 1 5000000)}}".to_owned()),
        ("floats of a thousand digits", ten_million("{{$x := printf `%.1000f` 1e-300}}")),
        ("a class in very many places", "{{regexMatch (sprig_repeat 190 `\\pL{1000}`) `abc`}}".to_owned()),
        (
            "patterns of very many classes",
            "{{range $i := loop 10000}}{{regexMatch (print `(?i)(\\pL|\\pN){0,900}` $i) `a`}}{{end}}".to_owned(),
        ),
        ("a long cutset", "{{trim (print (sprig_repeat 1000000 `b`) `a`) (sprig_repeat 1000000 `a`)}}".to_owned()),
        ("a path of a million maps", "{{len (explodeMap (sprig_dict (sprig_repeat 1000000 `a/`) 1))}}".to_owned()),
        ("many different secrets", "{{range $i := loop 10000000}}{{with secret (print `a/` $i)}}{{end}}{{end}}".to_owned()),
        ("many files to write", ten_million("{{writeToFile `/x` `` `` `0600` `y`}}")),
        ("many places without a value", " ".repeat(900_000) + &ten_million("{{(sprig_dict).x}}")),
        (
            "texts held while others run",
            format!("{{{{define `a`}}}}{}{{{{executeTemplate `a`}}}}{{{{end}}}}{{{{template `a`}}}}", "x".repeat(900_000)),
        ),
        ("a path with many parts", "{{len (sprig_clean (sprig_repeat 20000000 `a/../`))}}".to_owned()),
        ("many mistakes", "{{with secret `x` | indent 4}}{{end}}".repeat(25_000)),
        ("many calls to check", "{{if regexMatch `(a*)*b` (sprig_repeat 100000 `a`)}}{{end}}".repeat(15_000)),
        ("a list joined to itself", format!("{{{{$l := sprig_until 1000000}}}}{{{{len (sprig_concat{})}}}}", " $l".repeat(50))),
        (
            "the keys of one map",
            format!(
                "{{{{$m := sprig_dict}}}}{{{{range $i := loop 10000}}}}{{{{$x := sprig_set $m (print $i) 1}}}}{{{{end}}}}{{{{len (sprig_keys{})}}}}",
                " $m".repeat(5_000)
            ),
        ),
        ("chunks of one element", "{{len (sprig_chunk 1 (sprig_until 2000000))}}".to_owned()),
        ("texts in a row", format!("{{{{$t := sprig_repeat 60000000 `a`}}}}{{{{len (sprig_cat{})}}}}", " $t".repeat(12))),
        ("a text in quotes", "{{len (sprig_quote (sprig_repeat 60000000 `\x00`))}}".to_owned()),
        ("a text joined with itself", "{{$l := split `,` (sprig_repeat 1000 `a,`)}}{{len (sprig_join (sprig_repeat 1000000 `b`) $l)}}".to_owned()),
        (
            "keys of nested lists",
            format!(
                "{{{{$l := split `,` (sprig_repeat 1000 `abcdefg,`)}}}}{{{{$l = sprig_list{}}}}}{{{{$d := sprig_dict}}}}{{{{range 10000}}}}{{{{$d = sprig_dict $l $d}}}}{{{{end}}}}",
                " $l".repeat(1_000)
            ),
        ),
        ("merges of one mapping", {
            let keys: String = (0..10_000).map(|n| format!("k{n}: 1, ")).collect();
            format!("{{{{len (parseYAML `{{a: &a {{{keys}}}, l: [{}]}}`)}}}}", "{<<: *a, z: 2}, ".repeat(10_000))
        }),
        ("a field of a long document", {
            let keys: String = (0..50_000).map(|n| format!("{n}: 1, ")).collect();
            format!("{{{{$m := parseYAML `{{{keys}}}`}}}}{}", ten_million("{{$x := $m.zzz}}"))
        }),
        (
            "short lists of floats",
            format!("{{{{$l := sprig_list{}}}}}", " 0.30000000000000004".repeat(12)) + &ten_million("{{$x := sprig_join `,` $l}}"),
        ),
        ("long floats", ten_million("{{$x := printf `%f` 1e300}}")),
        (
            "dates that are written",
            "{{$d := sprig_toDate `2006` `2026`}}".to_owned() + &ten_million("{{$x := print $d $d $d $d $d $d}}"),
        ),
        ("JSON of a text that grows", "{{len (toJSON (sprig_repeat 60000000 `<`))}}".to_owned()),
        ("TOML of a text that grows", "{{len (toTOML (sprig_dict `a` (sprig_repeat 60000000 \"\\x01\")))}}".to_owned()),
        ("no characters in upper case", "{{len (toUpper (sprig_repeat 60000000 \"\\xff\"))}}".to_owned()),
        ("many small maps", "{{len (parseJSON (print `[0` (sprig_repeat 300000 `,{\"a\":1}`) `]`))}}".to_owned()),
        ("a pattern of five million letters", "{{regexMatch (sprig_repeat 5000000 `a`) `b`}}".to_owned()),
        (
            "chunks that are held",
            "{{$l := sprig_until 1000000}}{{range $i := loop 1000}}{{scratch.Set (print $i) (sprig_chunk 1000 $l)}}{{end}}".to_owned(),
        ),
        ("four million elements made unique", "{{len (sprig_uniq (sprig_until 4000000))}}".to_owned()),
        (
            "a copy of four million elements",
            format!("{{{{$l := sprig_list 0}}}}{{{{range 16}}}}{{{{$l = sprig_concat $l $l}}}}{{{{end}}}}{{{{len (sprig_rest (sprig_concat{}))}}}}", " $l".repeat(61)),
        ),
        (
            "lists of which nothing is left",
            "{{$l := sprig_list 0}}{{range 17}}{{$l = sprig_concat $l $l}}{{end}}{{range $i := loop 1000}}{{scratch.Set (print $i) (sprig_compact $l)}}{{end}}".to_owned(),
        ),
        (
            "small texts that are held",
            format!("{{{{range $i := loop 1000000}}}}{{{{scratch.Set (print $i) (sprig_list{})}}}}{{{{end}}}}", " (sprig_repeat 255 `a`)".repeat(100)),
        ),
        (
            "texts of some kilobytes that are held",
            "{{$w := sprig_repeat 1000 `aB, `}}{{range $i := loop 10000000}}{{scratch.Set (print $i) (println $w)}}{{end}}".to_owned(),
        ),
        ("brackets that nothing closes", "{{$t := sprig_repeat 300000 `%[`}}{{range 1000}}{{$x := printf $t 1}}{{end}}".to_owned()),
        ("30 MB quoted", "{{len (printf `%q` (sprig_repeat 30000000 \"\\x01\"))}}".to_owned()),
        ("30 MB in hexadecimal digits", "{{len (printf `%# x` (sprig_repeat 30000000 `a`))}}".to_owned()),
        ("a text printed again", format!("{{{{$t := sprig_repeat 60000000 `a`}}}}{{{{$t{} | len}}}}", " | print".repeat(100))),
        ("a long separator", "{{$w := sprig_repeat 1000 `aB, `}}".to_owned() + &ten_million("{{$x := split $w $w}}")),
        ("long complex numbers", ten_million("{{$x := printf `%.1000f` (1e-300+1e-300i)}}")),
        (
            "long floats of a document",
            "{{$y := parseYAML `{1.5: 1.0e-300}`}}".to_owned() + &ten_million("{{$x := printf `%.1000f` $y}}"),
        ),
        (
            "a long version",
            "{{$v := sprig_semver (print `1.0.0-` (sprig_repeat 1000000 `a`))}}".to_owned() + &ten_million("{{$x := $v.Major}}"),
        ),
        ("a constraint of one long word", "{{sprig_semverCompare (sprig_repeat 1000000 `1`) `1.0.0`}}".to_owned()),
        (
            "templates that call twice",
            (0..64)
                .map(|n| format!("{{{{define \"{n}\"}}}}{{{{template \"{0}\"}}}}{{{{template \"{0}\"}}}}{{{{end}}}}", n + 1))
                .collect::<String>()
                + "{{define \"64\"}}{{end}}{{template \"0\"}}",
        ),
    ]
}

/// The most memory that this process had, in MB.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map_or_else(
        || "?".to_owned(),
        |kilobytes| (kilobytes * 1024 / 1_000_000).to_string(),
    )
}

fn one(text: &str, how: &str) {
    let (options, environment) = (Options::default(), Environment::default());
    let start = Instant::now();
    let outcome = if how == "lint" {
        let found = lint(text.as_bytes(), &options, None, &environment, |_| {
            Err(String::new())
        });
        format!("{} findings", found.len())
    } else {
        match Template::parse(text.as_bytes(), &options) {
            Err(error) => error.to_string(),
            Ok(template) => match template.render(&Answers::new(), &environment) {
                Ok(_) => "rendered".to_owned(),
                Err(error) => error.message().to_owned(),
            },
        }
    };
    let outcome: String = outcome.chars().take(70).collect();
    println!(
        "{:6.2} s {:>5} MB  {outcome}",
        start.elapsed().as_secs_f64(),
        memory()
    );
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cases = cases();
    if let [how, which] = &arguments[..] {
        match which.parse::<usize>() {
            Ok(index) => one(&cases[index].1, how),
            Err(_) => one(&std::fs::read_to_string(which)?, how),
        }
        return Ok(());
    }
    let program = std::env::current_exe()?;
    for (index, (name, _)) in cases.iter().enumerate() {
        for how in ["render", "lint"] {
            let output = Command::new(&program)
                .args([how, &index.to_string()])
                .output()?;
            let told = String::from_utf8_lossy(&output.stdout);
            let told = if output.status.success() {
                told.trim_end()
            } else {
                "died"
            };
            println!("{name:34} {how:7} {told}");
        }
    }
    Ok(())
}
