//! A configuration as a tree, and how it is written down.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The kind of mistake that says something again.
pub(crate) const TWICE: usize = 2;

/// A block: values and further blocks in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    items: Vec<(String, Item)>,
}

#[derive(Clone, Debug)]
enum Item {
    Value(Value),
    Block(Node),
}

impl Node {
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.items.push((key.to_owned(), Item::Value(value.into())));
    }

    pub(crate) fn add(&mut self, key: &str, block: Self) {
        self.items.push((key.to_owned(), Item::Block(block)));
    }

    /// How many keys there are, with those of blocks inside.
    pub(crate) fn places(&self) -> usize {
        let inside = |(_, item): &(String, Item)| match item {
            Item::Value(_) => 1,
            Item::Block(block) => 1 + block.places(),
        };
        self.items.iter().map(inside).sum()
    }

    /// Makes a mistake at this place.
    pub(crate) fn spoil(&mut self, at: usize, kind: usize, value: &Value) {
        let mut left = at;
        for index in 0..self.items.len() {
            if left == 0 {
                match kind {
                    0 => drop(self.items.remove(index)),
                    1 => self.items[index].0.push('x'),
                    TWICE => {
                        let item = self.items[index].clone();
                        self.items.insert(index, item);
                    }
                    _ => self.items[index].1 = Item::Value(value.clone()),
                }
                return;
            }
            left -= 1;
            if let Item::Block(block) = &mut self.items[index].1 {
                let places = block.places();
                if left < places {
                    return block.spoil(left, kind, value);
                }
                left -= places;
            }
        }
    }
}

/// In HCL.
pub(crate) fn hcl(node: &Node) -> String {
    let mut out = String::new();
    write_hcl(node, 0, &mut out);
    out
}

fn write_hcl(node: &Node, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for (key, item) in &node.items {
        // Writing into memory cannot fail.
        let _ = match item {
            // JSON writes texts, numbers and lists as HCL reads them.
            Item::Value(value) => writeln!(out, "{indent}{key} = {value}"),
            Item::Block(block) => {
                let _ = writeln!(out, "{indent}{key} {{");
                write_hcl(block, depth + 1, out);
                writeln!(out, "{indent}}}")
            }
        };
    }
}

/// In JSON; a key that is there more than once becomes a list.
pub(crate) fn json(node: &Node) -> String {
    value(node).to_string()
}

fn value(node: &Node) -> Value {
    let mut object = Map::new();
    for (key, item) in &node.items {
        let (key, label) = match key.split_once(' ') {
            Some((key, label)) => (key, Some(label.trim_matches('"'))),
            None => (key.as_str(), None),
        };
        let (item, is_block) = match item {
            Item::Value(value) => (value.clone(), false),
            Item::Block(block) => (value(block), true),
        };
        let item = match label {
            Some(label) => Value::Object(Map::from_iter([(label.to_owned(), item)])),
            None => item,
        };
        match object.get_mut(key) {
            None if is_block => drop(object.insert(key.to_owned(), Value::Array(vec![item]))),
            None => drop(object.insert(key.to_owned(), item)),
            Some(Value::Array(items)) if is_block => items.push(item),
            Some(other) => *other = item,
        }
    }
    Value::Object(object)
}
