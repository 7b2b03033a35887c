//! Paths: `s.data.[a.b]`, `../name`, `@index`, `@root.x`, `this`.

/// A way to a value.
pub(super) struct Path {
    /// As it is written.
    pub(super) raw: String,
    /// How many blocks to leave first.
    pub(super) ups: usize,
    pub(super) start: Start,
    pub(super) segments: Vec<String>,
}

/// The value that the segments are looked up in.
pub(super) enum Start {
    /// The value of the block, or what a block calls by the first segment.
    Name,
    /// The value of the block.
    This,
    /// The value outside of all blocks.
    Root,
    /// The step that `each` is at, by its key or its place.
    Step(Step),
}

#[derive(Clone, Copy)]
pub(super) enum Step {
    Key,
    Index,
    First,
    Last,
}

impl Path {
    pub(super) fn parse(raw: &str) -> Result<Self, String> {
        let mut rest = raw;
        let mut start = Start::Name;
        if let Some(inner) = ["this.", "this/", "./"]
            .iter()
            .find_map(|it| rest.strip_prefix(it))
        {
            rest = inner;
            start = Start::This;
        }
        let local = rest.strip_prefix('@');
        rest = local.unwrap_or(rest);
        let mut ups = 0;
        while let Some(inner) = rest.strip_prefix("../") {
            rest = inner;
            ups += 1;
        }
        let mut segments = segments(rest);
        if local.is_some() {
            start = step(&mut segments).ok_or_else(|| {
                format!("`{raw}` is unknown; there are @key, @index, @first, @last and @root")
            })?;
        } else if segments.first().is_some_and(|first| first == "this") {
            start = Start::This;
            segments.remove(0);
        } else if ups > 0 {
            start = Start::This;
        }
        Ok(Self {
            raw: raw.to_owned(),
            ups,
            start,
            segments,
        })
    }
}

fn step(segments: &mut Vec<String>) -> Option<Start> {
    let start = match segments.first()?.as_str() {
        "key" => Start::Step(Step::Key),
        "index" => Start::Step(Step::Index),
        "first" => Start::Step(Step::First),
        "last" => Start::Step(Step::Last),
        "root" => Start::Root,
        _ => return None,
    };
    segments.remove(0);
    Some(start)
}

/// Splits at dots and slashes outside of brackets.
fn segments(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (segment, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_at(rest.find(['.', '/']).unwrap_or(rest.len())),
        };
        segments.push(segment.to_owned());
        rest = after.strip_prefix(['.', '/']).unwrap_or(after);
    }
    segments
}
