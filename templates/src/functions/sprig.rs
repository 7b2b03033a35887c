//! The hermetic functions of Sprig 3, as `sprig_…`.

mod case;
mod dates;
mod defaults;
mod lists;
mod maps;
mod numbers;
mod paths;
mod patterns;
mod shape;
mod strings;
mod versions;

pub(super) use versions::METHODS as VERSION;

use std::rc::Rc;

use planescape_vault::Text;

use crate::error::Failure;
use crate::fmt;
use crate::function::TEXT;
use crate::meter::PRINTED;
use crate::strings::Strings;
use crate::value::{Place, Type, Value};

use super::{Context, Function, Outcome, collection, done, int, text};

pub(super) const GROUPS: [&[Function]; 11] = [
    dates::FUNCTIONS,
    defaults::FUNCTIONS,
    lists::FUNCTIONS,
    maps::FUNCTIONS,
    numbers::FUNCTIONS,
    paths::FUNCTIONS,
    patterns::FUNCTIONS,
    shape::FUNCTIONS,
    strings::FUNCTIONS,
    versions::FUNCTIONS,
    UNSUPPORTED,
];

/// Keys, certificates and passwords would differ on every pass, and rewrite the file each time.
const UNSUPPORTED: &[Function] = &[
    Function::new("sprig_ago", ANY, unsupported),
    Function::new("sprig_bcrypt", ONE, unsupported),
    Function::new("sprig_buildCustomCert", TWO, unsupported),
    Function::new("sprig_decryptAES", TWO, unsupported),
    Function::new("sprig_derivePassword", &[], unsupported).rest(Type::Any),
    Function::new("sprig_encryptAES", TWO, unsupported),
    Function::new("sprig_genCA", &[Type::Text, Type::Int], unsupported),
    Function::new(
        "sprig_genCAWithKey",
        &[Type::Text, Type::Int, Type::Text],
        unsupported,
    ),
    Function::new("sprig_genPrivateKey", ONE, unsupported),
    Function::new("sprig_genSelfSignedCert", &[], unsupported).rest(Type::Any),
    Function::new("sprig_genSelfSignedCertWithKey", &[], unsupported).rest(Type::Any),
    Function::new("sprig_genSignedCert", &[], unsupported).rest(Type::Any),
    Function::new("sprig_genSignedCertWithKey", &[], unsupported).rest(Type::Any),
    Function::new("sprig_htpasswd", TWO, unsupported),
];

const ANY: &[Type] = &[Type::Any];
const ONE: &[Type] = &[Type::Text];
const TWO: &[Type] = &[Type::Text, Type::Text];

fn unsupported(_: &mut Context<'_>, _: &[Place]) -> Outcome {
    Err(Failure::new("not supported"))
}

/// The text of any value: what `toString` gives.
fn shown(context: &Context<'_>, value: &Value) -> Result<Text, Failure> {
    match value {
        Value::Text(text) | Value::Number(text) => Ok(text.clone()),
        value => Ok(Text::from(fmt::display(
            value,
            context.meter.output_limit(),
        )?)),
    }
}

/// The text of any value, paid for where it had to be made: it may be longer than what the value holds at its first level.
fn paid(context: &mut Context<'_>, value: &Value) -> Result<Text, Failure> {
    let text = shown(context, value)?;
    if value.as_text().is_none() {
        context.meter.charge(text.len().saturating_mul(PRINTED))?;
        context.meter.keep(TEXT + text.len())?;
    }
    Ok(text)
}

/// The texts of all elements that are not nil; anything but a list counts as one element.
fn texts(context: &mut Context<'_>, value: &Value) -> Result<Rc<Strings>, Failure> {
    let texts: Vec<Text> = match value {
        Value::Strings(items) => return Ok(Rc::clone(items)),
        Value::Nil => Vec::new(),
        value => {
            context.meter.can_copy(value)?;
            match value.items() {
                Some(items) => items
                    .iter()
                    .filter(|item| !item.is_nil())
                    .map(|item| paid(context, item))
                    .collect::<Result<_, _>>()?,
                None => vec![paid(context, value)?],
            }
        }
    };
    Ok(Rc::new(Strings::from(texts)))
}
