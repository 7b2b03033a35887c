//! Go structs that templates can meet: their fields in order, and the store behind `scratch`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use planescape_vault::Text;

use crate::time::Moment;
use crate::value::{Type, Value};
use crate::version;

pub(crate) enum Object {
    Struct {
        of: Type,
        fields: Vec<(&'static str, Value)>,
    },
    Scratch(RefCell<BTreeMap<Text, Value>>),
    Time(Moment),
}

impl Object {
    pub(crate) fn type_of(&self) -> Type {
        match self {
            Self::Struct { of, .. } => *of,
            Self::Scratch(_) => Type::Scratch,
            Self::Time(_) => Type::Time,
        }
    }

    pub(crate) fn time(&self) -> Option<Moment> {
        match self {
            Self::Time(time) => Some(*time),
            Self::Struct { .. } | Self::Scratch(_) => None,
        }
    }

    pub(crate) fn field(&self, name: &[u8]) -> Option<&Value> {
        self.fields()
            .iter()
            .find_map(|(field, value)| (field.as_bytes() == name).then_some(value))
    }

    pub(crate) fn fields(&self) -> &[(&'static str, Value)] {
        match self {
            Self::Struct { fields, .. } => fields,
            Self::Scratch(_) | Self::Time(_) => &[],
        }
    }
}

/// The text of a value that has a method to say it.
pub(crate) fn stated(object: &Object) -> Option<String> {
    match object {
        Object::Time(time) => Some(time.to_string()),
        object => version::shown(object),
    }
}

/// The text that takes a value's place in a document.
pub(crate) fn marshalled(object: &Object) -> Option<String> {
    match object {
        Object::Time(time) => Some(time.format("2006-01-02T15:04:05.999999999Z07:00")),
        object => version::shown(object),
    }
}

/// The exported fields of a struct type, known even where there is only a nil pointer.
pub(crate) fn fields(of: Type) -> &'static [&'static str] {
    match of {
        Type::Secret => &[
            "RequestID",
            "LeaseID",
            "LeaseDuration",
            "Renewable",
            "Data",
            "Warnings",
            "Auth",
            "WrapInfo",
        ],
        Type::Auth => &[
            "ClientToken",
            "Accessor",
            "Policies",
            "Metadata",
            "LeaseDuration",
            "Renewable",
        ],
        Type::Wrapping => &["Token", "TTL", "CreationTime", "WrappedAccessor"],
        _ => &[],
    }
}

/// Whether a struct type has an exported field of this name.
pub(crate) fn has_field(of: Type, name: &[u8]) -> bool {
    fields(of).iter().any(|field| field.as_bytes() == name)
}
