//! From the crate's tree to ours: every helper is found and given as many arguments as it takes, or
//! the text is refused. The walk is no deeper than [`super::scan`] lets a text be.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::vec;

use handlebars::JsonValue;
use handlebars::template::{BlockParam, HelperTemplate, Parameter, TemplateElement};
use planescape_vault::Text;
use planescape_vault::json::Datum;

use crate::error::Error;
use crate::options::Options;

use super::helpers::{self, Helper};
use super::path::Path;
use super::refusal;
use super::tree::{Block, Call, Expression, Kind, Node, Tag};

type Named = HashMap<String, Parameter>;

pub(super) struct Lowering<'s> {
    source: &'s str,
    options: &'s Options,
    raw_texts: vec::IntoIter<&'s str>,
    tag: Tag,
}

const BLOCKS: [&str; 4] = ["if", "unless", "each", "with"];

impl<'s> Lowering<'s> {
    pub(super) fn new(source: &'s str, options: &'s Options, raw_texts: Vec<&'s str>) -> Self {
        Self {
            source,
            options,
            raw_texts: raw_texts.into_iter(),
            tag: Tag { line: 1, column: 1 },
        }
    }

    fn refuse(&self, words: &str) -> Error {
        refusal(self.source.as_bytes(), self.tag.offset(self.source), words)
    }

    pub(super) fn nodes(&mut self, template: handlebars::Template) -> Result<Vec<Node>, Error> {
        let mut nodes = Vec::with_capacity(template.elements.len());
        for (index, element) in template.elements.into_iter().enumerate() {
            if let Some(place) = template.mapping.get(index) {
                self.tag = Tag {
                    line: place.0,
                    column: place.1,
                };
            }
            nodes.extend(self.node(element)?);
        }
        Ok(nodes)
    }

    fn node(&mut self, element: TemplateElement) -> Result<Option<Node>, Error> {
        let tag = self.tag;
        Ok(match element {
            TemplateElement::RawString(text) => Some(Node::Text(Text::from(text))),
            TemplateElement::Comment(_) => None,
            TemplateElement::Expression(call) | TemplateElement::HtmlExpression(call) => {
                Some(Node::Value(tag, self.expression(*call)?))
            }
            TemplateElement::HelperBlock(block) => Some(self.block(*block)?),
            TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => {
                return Err(self.refuse("partials are not supported"));
            }
            _ => return Err(self.refuse("decorators are not supported")),
        })
    }

    fn block(&mut self, mut block: HelperTemplate) -> Result<Node, Error> {
        let tag = self.tag;
        let name = block.name.as_name().unwrap_or_default().to_owned();
        if name == "raw" {
            let text = self.raw_texts.next();
            return text
                .map(|text| Node::Text(Text::from(text)))
                .ok_or_else(|| self.refuse("raw text stands in {{{{raw}}}}"));
        }
        if !BLOCKS.contains(&name.as_str()) {
            let words = format!("`{name}` is not a block: write if, unless, each or with");
            return Err(self.refuse(&words));
        }
        let mut named = std::mem::take(&mut block.hash);
        let kind = match name.as_str() {
            "each" => Kind::Each,
            "with" => Kind::With,
            _ => Kind::If {
                is_negated: name == "unless",
                include_zero: match named.remove("includeZero") {
                    Some(parameter) => Some(self.parameter(parameter)?),
                    None => None,
                },
            },
        };
        if let Some(unknown) = named.keys().min() {
            return Err(self.refuse(&format!("block `{name}` has no option `{unknown}`")));
        }
        let names = self.names(&name, block.block_param.take())?;
        let mut parameters = block.params.into_iter();
        let (Some(subject), None) = (parameters.next(), parameters.next()) else {
            return Err(self.refuse(&format!("block `{name}` takes one value")));
        };
        let subject = self.parameter(subject)?;
        let body = self.nodes(block.template.unwrap_or_default())?;
        let otherwise = match block.inverse {
            Some(inverse) => Some(self.nodes(inverse)?),
            None => None,
        };
        let block = Block {
            kind,
            subject,
            names,
            body,
            otherwise,
        };
        Ok(Node::Block(tag, Box::new(block)))
    }

    fn names(&self, block: &str, names: Option<BlockParam>) -> Result<Vec<String>, Error> {
        let names = match names {
            None => Vec::new(),
            Some(BlockParam::Single(name)) => vec![name],
            Some(BlockParam::Pair((value, key))) => vec![value, key],
            Some(_) => return Err(self.refuse("unknown form of names")),
        };
        let most = match block {
            "each" => 2,
            "with" => 1,
            _ => 0,
        };
        if names.len() > most {
            return Err(self.refuse(&format!("block `{block}` names {most} values at most")));
        }
        let names = names.iter().filter_map(Parameter::as_name);
        let names: Vec<String> = names.map(str::to_owned).collect();
        match names.iter().find(|name| helpers::find(name).is_some()) {
            Some(name) => {
                Err(self.refuse(&format!("`{name}` is a helper, and no name for a value")))
            }
            None => Ok(names),
        }
    }

    fn expression(&mut self, call: HelperTemplate) -> Result<Expression, Error> {
        let name = match call.name {
            Parameter::Name(name) => name,
            Parameter::Path(path) => self.raw(&Parameter::Path(path)),
            inner => return self.parameter(inner),
        };
        if let Some(helper) = helpers::find(&name) {
            return self.call(helper, call.params, call.hash);
        }
        if BLOCKS.contains(&name.as_str()) {
            return Err(self.refuse(&format!("`{name}` is a block; write {{{{#{name} …}}}}")));
        }
        if call.params.is_empty() && call.hash.is_empty() {
            return self.path(&name);
        }
        Err(self.refuse(&format!("`{name}` is not a helper")))
    }

    fn call(
        &mut self,
        helper: &'static Helper,
        parameters: Vec<Parameter>,
        named: Named,
    ) -> Result<Expression, Error> {
        let name = helper.name;
        let is_denied = |pattern: &String| crate::options::matches_pattern(pattern, name);
        if self.options.denied_functions.iter().any(is_denied) {
            return Err(self.refuse(&format!("helper `{name}` is disabled")));
        }
        if !helper.takes.contains(&parameters.len()) {
            let wanted = helper.wanted();
            let got = parameters.len();
            let words = format!(
                "helper `{name}` takes {wanted}, and got {got}; for a field of that name write this.{name}"
            );
            return Err(self.refuse(&words));
        }
        if let (Some(unknown), false) = (named.keys().min(), helper.takes_named) {
            return Err(self.refuse(&format!("helper `{name}` has no option `{unknown}`")));
        }
        let arguments = parameters
            .into_iter()
            .map(|parameter| self.parameter(parameter))
            .collect::<Result<_, _>>()?;
        let named = named
            .into_iter()
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .map(|(name, parameter)| Ok((name, self.parameter(parameter)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Expression::Call(Call {
            helper,
            arguments,
            named,
        }))
    }

    fn parameter(&mut self, parameter: Parameter) -> Result<Expression, Error> {
        match parameter {
            Parameter::Literal(literal) => Ok(Expression::Literal(datum(literal))),
            Parameter::Subexpression(inner) => match *inner.element {
                TemplateElement::Expression(call) => {
                    let name = self.raw(&call.name);
                    if helpers::find(&name).is_none() && !BLOCKS.contains(&name.as_str()) {
                        return Err(self.refuse(&format!("`{name}` is not a helper")));
                    }
                    self.expression(*call)
                }
                _ => Err(self.refuse("parentheses take a helper")),
            },
            path => {
                let raw = self.raw(&path);
                self.path(&raw)
            }
        }
    }

    fn raw(&self, parameter: &Parameter) -> String {
        parameter.as_name().unwrap_or_default().to_owned()
    }

    fn path(&self, raw: &str) -> Result<Expression, Error> {
        Path::parse(raw)
            .map(Expression::Path)
            .map_err(|words| self.refuse(&words))
    }
}

fn datum(literal: JsonValue) -> Datum {
    match literal {
        JsonValue::Null => Datum::Null,
        JsonValue::Bool(truth) => Datum::Bool(truth),
        JsonValue::Number(number) => Datum::Number(Text::from(number.to_string())),
        JsonValue::String(text) => Datum::Text(Text::from(text)),
        JsonValue::Array(items) => Datum::List(items.into_iter().map(datum).collect()),
        JsonValue::Object(entries) => {
            let entries = entries.into_iter();
            let entries = entries.map(|(key, item)| (Text::from(key), datum(item)));
            Datum::Object(Arc::new(entries.collect()))
        }
    }
}
