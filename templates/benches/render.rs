//! How long parsing and rendering take: everyday templates, a long range, a large result.

#[path = "../fuzz/differential/answers.rs"]
mod answers;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use planescape_templates::{Answers, Environment, Options, Pass, Template};

fn parse(text: &str) -> Template {
    Template::parse(text.as_bytes(), &Options::default()).expect("it parses")
}

fn render(template: &Template, answers: &Answers) -> usize {
    match template.render(answers, &Environment::default()) {
        Ok(Pass::Complete(rendered)) => rendered.text.len(),
        other => panic!("{other:?}"),
    }
}

/// The everyday templates whose answers are at hand, in one text.
fn everyday(answers: &Answers) -> String {
    let lines = include_str!("../testdata/real_world.jsonl").lines();
    lines
        .filter_map(|line| {
            let case: serde_json::Value = serde_json::from_str(line).ok()?;
            let text = case["t"].as_str()?;
            let template = Template::parse(text.as_bytes(), &Options::default()).ok()?;
            let pass = template.render(answers, &Environment::default());
            let fits = matches!(pass, Ok(Pass::Complete(_))) && !text.contains("define");
            fits.then(|| text.to_owned())
        })
        .collect()
}

fn engine(criterion: &mut Criterion) {
    let answers = answers::load(include_str!("../testdata/responses.json"));
    let texts = [
        ("everyday", everyday(&answers)),
        (
            "200 keys",
            "{{$m := sprig_dict}}{{range $i := 200}}{{$_ := sprig_set $m (printf `KEY_%03d` $i) $i}}{{end}}\
             {{range $k, $v := $m}}export {{$k}}={{$v | toJSON}}\n{{end}}"
                .to_owned(),
        ),
        (
            "1 MiB",
            "{{$line := sprig_repeat 1023 `x`}}{{range 1024}}{{$line}}\n{{end}}".to_owned(),
        ),
    ];
    for (name, text) in &texts {
        let template = parse(text);
        criterion.bench_with_input(BenchmarkId::new("parse", name), text, |bench, text| {
            bench.iter(|| parse(black_box(text)));
        });
        criterion.bench_with_input(
            BenchmarkId::new("execute", name),
            &template,
            |bench, template| {
                bench.iter(|| render(black_box(template), &answers));
            },
        );
        criterion.bench_with_input(BenchmarkId::new("both", name), text, |bench, text| {
            bench.iter(|| render(&parse(black_box(text)), &answers));
        });
    }
}

criterion_group!(benches, engine);
criterion_main!(benches);
