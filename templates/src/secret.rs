//! A secret as a template sees it: a pointer to a struct, as Go's client has it.

use std::rc::Rc;

use planescape_vault::json::Datum;
use planescape_vault::{Auth, Secret, Text, Wrapping};

use crate::json::kept;
use crate::object::Object;
use crate::time::Moment;
use crate::value::{Type, Value};

/// The value of an answer.
pub(crate) fn value(secret: &Secret) -> Value {
    let data = match secret.data() {
        data @ Datum::Object(_) => kept(data),
        _ => Value::TypedNil(Type::Map),
    };
    let auth = secret.auth().map_or(Value::TypedNil(Type::Auth), auth);
    let wrapping = secret
        .wrapping()
        .map_or(Value::TypedNil(Type::Wrapping), wrapping);
    structure(
        Type::Secret,
        vec![
            ("RequestID", Value::Text(secret.request_id().clone())),
            ("LeaseID", Value::text(secret.lease_id())),
            ("LeaseDuration", Value::Int(secret.lease_seconds())),
            ("Renewable", Value::Bool(secret.has_renewable_lease())),
            ("Data", data),
            ("Warnings", strings(secret.warnings())),
            ("Auth", auth),
            ("WrapInfo", wrapping),
        ],
    )
}

fn auth(auth: &Auth) -> Value {
    let metadata = if auth.metadata.is_empty() {
        Value::TypedNil(Type::StringMap)
    } else {
        Value::StringMap(Rc::new(auth.metadata.iter().cloned().collect()))
    };
    structure(
        Type::Auth,
        vec![
            ("ClientToken", Value::Text(auth.client_token.clone())),
            ("Accessor", Value::Text(auth.accessor.clone())),
            ("Policies", strings(&auth.policies)),
            ("Metadata", metadata),
            ("LeaseDuration", Value::Int(auth.lease_duration)),
            ("Renewable", Value::Bool(auth.renewable)),
        ],
    )
}

fn wrapping(wrapping: &Wrapping) -> Value {
    let created = wrapping.creation_time.map_or(Moment::ZERO, Moment::from);
    structure(
        Type::Wrapping,
        vec![
            ("Token", Value::Text(wrapping.token.clone())),
            ("TTL", Value::Int(wrapping.ttl)),
            (
                "CreationTime",
                Value::Object(Rc::new(Object::Time(created))),
            ),
            (
                "WrappedAccessor",
                Value::Text(wrapping.wrapped_accessor.clone()),
            ),
        ],
    )
}

fn structure(of: Type, fields: Vec<(&'static str, Value)>) -> Value {
    Value::Object(Rc::new(Object::Struct { of, fields }))
}

fn strings(texts: &[Text]) -> Value {
    if texts.is_empty() {
        return Value::TypedNil(Type::Strings);
    }
    Value::strings(texts.to_vec())
}
