//! What a template pays for: what its functions visit and make, and not what they only pass on.

use planescape_templates::{Answers, Environment, Error, Limits, Options, Pass, Template};

fn render_with(text: &str, limits: Limits) -> Result<Pass, Error> {
    let options = Options {
        limits,
        ..Options::default()
    };
    Template::parse(text.as_bytes(), &options)?.render(&Answers::new(), &Environment::default())
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
