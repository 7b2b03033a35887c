//! What a template pays for: what its functions visit and make, and not what they only pass on.

use planescape_templates::{Answers, Environment, Error, Limits, Options, Pass, Template};

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
