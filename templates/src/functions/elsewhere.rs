//! Functions that ask Consul, Nomad, the host or a program. The names exist, so that templates
//! parse and dead branches stay dead; calling one says plainly that nobody answers.

use crate::error::Failure;
use crate::value::{Type, Value};

use super::{Context, Function, Outcome, done};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("datacenters", &[], consul).rest(Type::Bool),
    Function::new("exportedServices", &[], consul).rest(Type::Text),
    Function::new("key", ONE, consul),
    Function::new("keyExists", ONE, consul),
    Function::new("keyOrDefault", &[Type::Text, Type::Text], consul),
    Function::new("ls", ONE, consul),
    Function::new("safeLs", ONE, consul),
    Function::new("tree", ONE, consul),
    Function::new("safeTree", ONE, consul),
    Function::new("node", &[], consul).rest(Type::Text),
    Function::new("nodes", &[], consul).rest(Type::Text),
    Function::new("partitions", &[], consul),
    Function::new("peerings", &[], consul).rest(Type::Text),
    Function::new("service", &[], consul).rest(Type::Text),
    Function::new("services", &[], consul).rest(Type::Text),
    Function::new("connect", &[], consul).rest(Type::Text),
    Function::new("caRoots", &[], consul).rest(Type::Text),
    Function::new("caLeaf", &[], consul).rest(Type::Text),
    Function::new("nomadServices", &[], nomad).rest(Type::Text),
    Function::new("nomadService", &[], nomad).rest(Type::Any),
    Function::new("nomadVarList", &[], nomad).rest(Type::Text),
    Function::new("nomadVarListSafe", &[], nomad).rest(Type::Text),
    Function::new("nomadVar", ONE, nomad),
    Function::new("nomadVarExists", ONE, nomad),
    Function::new("byKey", &[Type::Pairs], |_, _| consul_map()),
    Function::new("byMeta", &[Type::Text, Type::Services], |_, _| consul_map()),
    Function::new("byPort", &[Type::Any], |_, args| {
        by("byPort", &args[0].value)
    }),
    Function::new("byTag", &[Type::Any], |_, args| by("byTag", &args[0].value)),
    Function::new("explode", &[Type::Pairs], |_, _| consul_map()),
    Function::new("sockaddr", &[], |_, _| {
        Err(Failure::new(
            "network addresses are not known to this agent",
        ))
    })
    .rest(Type::Text),
    Function::new("plugin", ONE, |_, _| {
        Err(Failure::new("programs are not run by this agent"))
    })
    .rest(Type::Text),
    Function::new("pkiCertExternalCa", &[], |_, _| unsupported()).rest(Type::Text),
    Function::new("spew_dump", &[], |_, _| done("")).rest(Type::Any),
    Function::new("spew_printf", ONE, |_, _| done("")).rest(Type::Any),
    Function::new("spew_sdump", &[], |_, _| unsupported()).rest(Type::Any),
    Function::new("spew_sprintf", ONE, |_, _| unsupported()).rest(Type::Any),
];

const ONE: &[Type] = &[Type::Text];

fn consul(_: &mut Context<'_>, _: &[crate::value::Place]) -> Outcome {
    Err(Failure::new(
        "consul functions are not supported by this agent",
    ))
}

fn nomad(_: &mut Context<'_>, _: &[crate::value::Place]) -> Outcome {
    Err(Failure::new(
        "nomad functions are not supported by this agent",
    ))
}

fn unsupported() -> Outcome {
    Err(Failure::new("not supported"))
}

fn consul_map() -> Outcome {
    Ok(Value::map(std::collections::BTreeMap::new()))
}

fn by(name: &str, list: &Value) -> Outcome {
    match list {
        Value::Nil => consul_map(),
        value => Err(Failure::new(format!(
            "{name}: wrong argument type {}",
            value.type_name()
        ))),
    }
}
