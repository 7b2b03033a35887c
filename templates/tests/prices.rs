//! What a template pays for: what its functions visit and make, and not what they only pass on.

use planescape_templates::{
    Answers, Environment, Error, ErrorKind, Limits, Options, Pass, Template,
};

fn render_with(text: &str, limits: Limits) -> Result<Pass, Error> {
    let options = Options {
        limits,
        ..Options::default()
    };
    Template::parse(text.as_bytes(), &options)?.render(&Answers::new(), &Environment::default())
}

fn assert_cheap(text: &str) {
    let outcome = render_with(text, Limits::default());
    assert!(
        matches!(outcome, Ok(Pass::Complete(_))),
        "{text}: {outcome:?}"
    );
}

/// In a range that is short enough for a function that costs what any call costs.
fn assert_dear(start: &str, call: &str) {
    let limits = Limits {
        work: 1 << 20,
        ..Limits::default()
    };
    let text =
        |turns: usize| format!("{start}{{{{range {turns}}}}}{{{{$x := {call}}}}}{{{{end}}}}");
    let once = render_with(&text(1), limits);
    assert!(matches!(once, Ok(Pass::Complete(_))), "{call}: {once:?}");
    let error = render_with(&text(300), limits).expect_err(call);
    assert_eq!(error.kind(), ErrorKind::Limit, "{call}: {error}");
}

#[test]
fn a_range_pays_for_its_steps_and_not_for_the_square_of_them() {
    let start = "{{$m := sprig_dict}}{{range $i := loop 10000}}{{$_ := sprig_set $m (print `k` $i) $i}}{{end}}{{define `row`}}{{end}}";
    for call in [
        "{{len $m}}",
        "{{index $m $k}}",
        "{{sprig_get $m $k}}",
        "{{if sprig_hasKey $m $k}}{{end}}",
        "{{if sprig_default $m $k}}{{end}}",
        "{{$x := sprig_dict `root` $m `key` $k}}",
        "{{$x := sprig_list $m $k}}",
        "{{executeTemplate `row` $m}}",
        "{{scratch.Set $k $m}}",
        "{{if not $m}}{{end}}",
    ] {
        assert_cheap(&format!(
            "{start}{{{{range $k, $v := $m}}}}{call}{{{{end}}}}"
        ));
    }
    assert_cheap(
        "{{$m := sprig_dict}}{{range $i := loop 5000}}{{$m = sprig_merge $m (sprig_dict (print $i) $i)}}{{end}}{{len $m}}",
    );
}

#[test]
fn what_was_there_before_takes_no_memory_again() {
    let row = "sprig_dict `n` 1 ".to_owned() + &"`k` `v` ".repeat(10);
    let table: String = (0..200).map(|n| format!(" `k{n}` `v`")).collect();
    assert_cheap(&format!(
        "{{{{$t := sprig_dict `x` (sprig_dict{table})}}}}{{{{$r := {row}}}}}{{{{range 20000}}}}{{{{$x := index $t `x`}}}}{{{{$x = sprig_default $r $x}}}}{{{{end}}}}"
    ));
}

#[test]
fn a_text_that_is_made_of_nested_values_is_paid_for() {
    let start = format!(
        "{{{{$l := split `,` (sprig_repeat 100 `abcdefghi,`)}}}}{{{{$l = sprig_list{}}}}}",
        " $l".repeat(20)
    );
    for call in [
        "sprig_toDecimal $l",
        "sprig_dict $l 1",
        "sprig_toStrings (sprig_list $l $l)",
    ] {
        assert_dear(&start, call);
    }

    let narrow = Limits {
        memory: 1 << 20,
        ..Limits::default()
    };
    let held = format!(
        "{start}{{{{len (sprig_toStrings (sprig_list{}))}}}}",
        " $l".repeat(100)
    );
    let error = render_with(&held, narrow).expect_err("it takes more");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

#[test]
fn each_float_of_a_list_that_is_written_is_paid_for() {
    let start = format!("{{{{$l := sprig_list{}}}}}", " 1.5".repeat(30));
    for call in ["print $l", "toJSON $l", "sprig_join `,` $l", "sprig_cat $l"] {
        assert_dear(&start, call);
    }
    let limits = Limits {
        work: 1 << 20,
        ..Limits::default()
    };
    let text = start + "{{range 300}}{{$l}}{{end}}";
    let error = render_with(&text, limits).expect_err("it costs more");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

#[test]
fn each_date_and_each_complex_number_that_is_written_is_paid_for() {
    let dates = format!(
        "{{{{$d := sprig_toDate `2006` `2026`}}}}{{{{$l := sprig_list{}}}}}",
        " $d".repeat(16)
    );
    for call in ["print $l", "toJSON $l", "printf `%x` $l"] {
        assert_dear(&dates, call);
    }
    assert_dear("", &format!("print{}", " (1+2i)".repeat(8)));
    assert_dear("", "printf `%.300f` (1e-300+1i)");
    assert_dear("{{$y := parseYAML `{1: 2.5}`}}", "printf `%.300f` $y");
    let long = "{{$t := sprig_repeat 200 `a`}}";
    for verb in ["%q", "%x", "%-9s", "%.9s", "%[1]s"] {
        assert_dear(long, &format!("printf `{verb}` $t"));
    }
    let word = "{{$w := sprig_repeat 1000 `ab`}}";
    assert_dear(word, "split $w `abc`");
    assert_dear("", &format!("eq `a`{}", " `b`".repeat(120)));
    // A bracket that nothing closes is looked for once.
    assert_cheap("{{len (printf (sprig_repeat 500000 `%[`) 1)}}");
    assert_dear(&dates, &format!("print{}", " $d.String".repeat(8)));
}

#[test]
fn a_joined_text_is_refused_before_it_is_made() {
    let text = "{{$l := split `,` (sprig_repeat 200 `a,`)}}{{len (sprig_join (sprig_repeat 1000000 `b`) $l)}}";
    let error = render_with(text, Limits::default()).expect_err("it is too long");
    assert!(error.message().contains("output is larger"), "{error}");
}

#[test]
fn texts_in_a_row_are_no_longer_than_one_may_be() {
    let limits = Limits {
        output: 1 << 16,
        ..Limits::default()
    };
    let text = "{{$t := sprig_repeat 30000 `a`}}{{len (sprig_cat $t $t $t)}}";
    let error = render_with(text, limits).expect_err("it is too long");
    assert!(error.message().contains("output is larger"), "{error}");
}

#[test]
fn a_list_that_grows_one_by_one_takes_no_more_than_its_length() {
    for (start, step) in [
        ("{{$l := sprig_list}}", "{{$l = sprig_append $l 1}}"),
        ("{{$l := sprig_list}}", "{{$l = sprig_concat $l $one}}"),
        (
            "{{$l := sprig_list}}",
            "{{$l = sprig_append $l 1 | sprig_reverse}}",
        ),
        (
            "{{scratch.Set `l` sprig_list}}",
            "{{scratch.Set `l` (sprig_append (scratch.Get `l`) 1)}}",
        ),
        (
            "{{scratch.MapSet `m` `l` sprig_list}}",
            "{{scratch.MapSet `m` `l` (sprig_append (scratch.Get `m`).l 1)}}",
        ),
        (
            "{{$m := sprig_dict `l` sprig_list}}",
            "{{$_ := sprig_set $m `l` (sprig_append $m.l 1)}}",
        ),
    ] {
        assert_cheap(&format!(
            "{{{{$one := sprig_list 1}}}}{start}{{{{range 5000}}}}{step}{{{{end}}}}"
        ));
    }
    assert_cheap(
        "{{$s := ``}}{{range $i := loop 5000}}{{$s = printf `%s%d,` $s $i}}{{end}}{{len $s}}",
    );
    let held = "{{$l := sprig_list}}{{range $i := loop 5000}}{{$l = sprig_append $l 1}}{{scratch.Set (print $i) $l}}{{end}}";
    let error = render_with(held, Limits::default()).expect_err("each list is held");
    assert!(error.message().contains("bytes of memory"), "{error}");
}

#[test]
fn a_text_that_grows_is_no_longer_than_one_may_be() {
    let limits = Limits {
        output: 1 << 16,
        ..Limits::default()
    };
    for call in [
        "toJSON (sprig_repeat 30000 `<`)",
        "toJSON (sprig_repeat 30000 \"\\xff\")",
        "toTOML (sprig_dict `a` (sprig_repeat 30000 \"\\x01\"))",
        "toUpper (sprig_repeat 30000 \"\\xff\")",
        "sprig_title (sprig_repeat 30000 \"\\xff\")",
        "sprig_b32enc (sprig_repeat 50000 `a`)",
        "sprig_regexQuoteMeta (sprig_repeat 40000 `.`)",
    ] {
        let error = render_with(&format!("{{{{len ({call})}}}}"), limits).expect_err(call);
        assert!(
            error.message().contains("output is larger"),
            "{call}: {error}"
        );
    }
    for whole in ["é", "中"] {
        let turns = 60_000 / whole.len();
        let outcome = render_with(
            &format!("{{{{len (toUpper (sprig_repeat {turns} `{whole}`))}}}}"),
            limits,
        );
        assert!(
            matches!(outcome, Ok(Pass::Complete(_))),
            "{whole}: {outcome:?}"
        );
    }
}

#[test]
fn what_lists_maps_and_the_store_hold_takes_of_the_memory() {
    let narrow = Limits {
        memory: 1 << 20,
        ..Limits::default()
    };
    let held = |turns: usize, value: &str| {
        format!(
            "{{{{$l := sprig_until 1000}}}}{{{{range $i := loop {turns}}}}}{{{{scratch.Set (print $i) ({value})}}}}{{{{end}}}}"
        )
    };
    let small = "(sprig_repeat 250 `a`)";
    let zeros = |doublings: usize| {
        format!(
            "{{{{$u := sprig_until 100}}}}{{{{$l := sprig_list 0}}}}{{{{range {doublings}}}}}{{{{$l = sprig_concat $l $l}}}}{{{{end}}}}"
        )
    };
    let in_maps = (0..10).map(|n| format!(" `k{n}` {small}"));
    let paths = "{{$m := sprig_dict}}{{range $i := loop 1000}}{{$_ := sprig_set $m (print `a/` $i) 1}}{{end}}";
    for text in [
        held(40, "sprig_chunk 100 $l"),
        held(
            100,
            &format!("sprig_list{}", format!(" {small}").repeat(50)),
        ),
        held(3_000, small),
        held(
            2_500,
            "trimPrefix (sprig_repeat 249 `a`) (sprig_repeat 250 `a`)",
        ),
        held(2_000, "split `b` (sprig_repeat 250 `a`)"),
        held(2_000, "sprig_semver `1.2.3`"),
        held(500, &format!("sprig_dict{}", in_maps.collect::<String>())),
        format!("{paths}{{{{range 5}}}}{{{{$x := explodeMap $m}}}}{{{{end}}}}"),
        "{{$x := parseJSON (print `[0` (sprig_repeat 1500 `,{\"a\":1}`) `]`)}}".to_owned(),
        "{{regexMatch (sprig_repeat 10000 `a`) `b`}}".to_owned(),
        zeros(13) + "{{len (sprig_uniq $l)}}",
        zeros(14) + "{{len (sprig_compact $l)}}",
        zeros(14) + "{{if contains 1 $l}}{{end}}",
    ] {
        let error = render_with(&text, narrow).expect_err(&text);
        assert!(
            error.message().contains("bytes of memory"),
            "{text}: {error}"
        );
    }
    let patterns =
        "{{range $i := loop 50}}{{regexMatch (print (sprig_repeat 1000 `a`) $i) `b`}}{{end}}";
    let outcome = render_with(patterns, narrow);
    assert!(matches!(outcome, Ok(Pass::Complete(_))), "{outcome:?}");
}

#[test]
fn what_the_merges_of_a_document_copy_is_paid_for() {
    let keys: String = (0..1_000).map(|n| format!("k{n}: 1, ")).collect();
    let text = |merges: usize| {
        let merged = "{<<: *a, z: 2}, ".repeat(merges);
        format!("{{{{$x := parseYAML `{{a: &a {{{keys}}}, l: [{merged}]}}`}}}}")
    };
    assert_cheap(&text(50));
    let narrow = Limits {
        memory: 1 << 20,
        ..Limits::default()
    };
    let error = render_with(&text(50), narrow).expect_err("it takes more");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    let error = render_with(&text(200), Limits::default()).expect_err("it takes more");
    assert!(error.message().contains("excessive aliasing"), "{error}");
}

#[test]
fn each_digit_of_a_long_float_and_each_byte_of_a_long_version_is_paid_for() {
    assert_dear("", "printf `%f` 1e300");
    let version = "{{$v := sprig_semver (print `1.0.0-` (sprig_repeat 10000 `a`))}}";
    assert_dear(version, "$v.Major");
}

#[test]
fn a_long_word_of_a_constraint_is_paid_for_as_often_as_it_is_read() {
    let call = |length: usize| {
        format!("{{{{sprig_semverCompare (print (sprig_repeat {length} `1`) `.x`) `1.0.0`}}}}")
    };
    let limits = Limits {
        work: 1 << 20,
        ..Limits::default()
    };
    let kind = |length| {
        render_with(&call(length), limits)
            .expect_err("no number is so long")
            .kind()
    };
    assert_ne!(kind(100), ErrorKind::Limit);
    assert_eq!(kind(1_000), ErrorKind::Limit);
}

#[test]
fn each_key_of_a_document_is_found() {
    let start = "{{$m := parseYAML `{~: 0, b: 1, a: 2, c: 3, 5: 4, 2: 5, true: 6, 1.5: 7}`}}";
    let text = start.to_owned()
        + "{{$m.a}}{{$m.b}}{{$m.c}}{{index $m `c`}}{{index $m 5}}{{index $m 2}}{{index $m true}}{{index $m 1.5}}{{$m.d}}";
    let Ok(Pass::Complete(rendered)) = render_with(&text, Limits::default()) else {
        panic!("it renders");
    };
    let text = String::from_utf8_lossy(&rendered.text).into_owned();
    assert_eq!(text, "21334567<no value>");
}
