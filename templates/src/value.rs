//! Values as Go sees them: printing, truth, comparison and argument checks all depend on the
//! dynamic type, so the enum keeps apart what a JSON value would merge.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use planescape_vault::Text;
use planescape_vault::json::Datum;

use crate::json::kept;
use crate::object::Object;
use crate::strings::{Piece, Strings};

/// `map[string]interface {}`: shared and mutable, as a Go map is.
pub(crate) type Map = Rc<Entries>;

/// The entries of a map. Those of an answer become values when somebody looks at more than a leaf of them, because
/// templates look at few.
#[derive(Default)]
pub(crate) struct Entries {
    made: RefCell<BTreeMap<Text, Value>>,
    answered: RefCell<Option<Arc<BTreeMap<Text, Datum>>>>,
}

impl Entries {
    pub(crate) fn answered(data: &Arc<BTreeMap<Text, Datum>>) -> Self {
        Self {
            made: RefCell::default(),
            answered: RefCell::new(Some(Arc::clone(data))),
        }
    }

    pub(crate) fn borrow(&self) -> Ref<'_, BTreeMap<Text, Value>> {
        self.make();
        self.made.borrow()
    }

    pub(crate) fn borrow_mut(&self) -> RefMut<'_, BTreeMap<Text, Value>> {
        self.make();
        self.made.borrow_mut()
    }

    /// The value of one key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Value> {
        if let Some(data) = &*self.answered.borrow() {
            match data.get(key)? {
                // A value that can be changed must be the same one each time.
                Datum::List(_) | Datum::Object(_) => {}
                leaf => return Some(kept(leaf)),
            }
        }
        self.borrow().get(key).cloned()
    }

    fn make(&self) {
        let Some(data) = self.answered.take() else {
            return;
        };
        let made = data.iter().map(|(key, item)| (key.clone(), kept(item)));
        self.made.replace(made.collect());
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        release(std::mem::take(self.made.get_mut()).into_values());
    }
}

/// The elements of a list.
pub(crate) struct Items {
    items: Vec<Value>,
    /// The memory that a pass has counted for the list.
    counted: Cell<usize>,
}

impl Items {
    fn new(mut items: Vec<Value>) -> Rc<Self> {
        /// Room that is not worth a move.
        const LITTLE: usize = 4;
        // Nobody has counted the room of elements that are gone, and it is held as long as the list.
        if items.capacity() - items.len() > LITTLE + items.len() / 4 {
            items.shrink_to_fit();
        }
        Rc::new(Self {
            items,
            counted: Cell::default(),
        })
    }

    /// Notes memory that was counted for the list.
    pub(crate) fn count(&self, bytes: usize) {
        self.counted.set(self.counted.get() + bytes);
    }

    pub(crate) fn counted(&self) -> usize {
        self.counted.get()
    }
}

impl std::ops::Deref for Items {
    type Target = Vec<Value>;

    fn deref(&self) -> &Vec<Value> {
        &self.items
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        if self.items.iter().any(Value::is_container) {
            release(std::mem::take(&mut self.items).into_iter());
        }
    }
}

/// Drops values one after the other, however deep they nest: a stack would end before they do.
fn release(values: impl Iterator<Item = Value>) {
    let mut pending: Vec<Value> = values.filter(Value::is_container).collect();
    while let Some(value) = pending.pop() {
        match value {
            Value::List(items) | Value::Lists(items) => {
                if let Some(mut items) = Rc::into_inner(items) {
                    let items = std::mem::take(&mut items.items).into_iter();
                    pending.extend(items.filter(Value::is_container));
                }
            }
            Value::Map(entries) => {
                if let Some(mut entries) = Rc::into_inner(entries) {
                    let made = std::mem::take(entries.made.get_mut()).into_values();
                    pending.extend(made.filter(Value::is_container));
                }
            }
            _ => {}
        }
    }
}

#[derive(Clone)]
pub(crate) enum Value {
    /// Go's untyped nil; in a boxed [`Place`] it is a nil interface.
    Nil,
    Bool(bool),
    Int(i64),
    Int64(i64),
    Uint64(u64),
    Uint8(u8),
    Float(f64),
    Complex(Rc<(f64, f64)>),
    Text(Text),
    /// `json.Number`: a string kind that keeps the digits the server wrote.
    Number(Text),
    List(Rc<Items>),
    Lists(Rc<Items>),
    Strings(Rc<Strings>),
    Ints(Rc<Vec<i64>>),
    Map(Map),
    StringMap(Rc<BTreeMap<Text, Text>>),
    AnyMap(Rc<Vec<(Self, Self)>>),
    Object(Rc<Object>),
    /// The value of a `*Struct`, `[]T` or `map[K]V` variable before anything is assigned.
    TypedNil(Type),
    /// `<-chan int64` of `loop`: next value and end.
    Channel(Rc<(Cell<i64>, i64)>),
}

/// Dynamic and parameter types.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Type {
    /// `interface {}`.
    Any,
    /// `reflect.Value`: takes anything, and sees whether it sat in an interface.
    Raw,
    Bool,
    Int,
    Int64,
    Uint64,
    Uint8,
    Float,
    Complex,
    Text,
    Number,
    List,
    Lists,
    Strings,
    Ints,
    Map,
    StringMap,
    AnyMap,
    Secret,
    Auth,
    Wrapping,
    Certificate,
    Scratch,
    Time,
    /// A semantic version.
    Version,
    Channel,
    /// A list of Consul's key pairs; nothing here ever makes one.
    Pairs,
    /// A list of Consul's services; nothing here ever makes one.
    Services,
    /// An option of the library behind `mergeMap`; no template can write one.
    MergeOption,
}

/// The kind that Go's `reflect.Kind` gives to a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Invalid,
    Bool,
    Int,
    Uint,
    Float,
    Complex,
    Text,
    List,
    Map,
    Pointer,
    Struct,
    Channel,
}

impl Type {
    /// The name Go prints in messages and for `%T`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Raw => "reflect.Value",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Uint64 => "uint64",
            Self::Uint8 => "uint8",
            Self::Float => "float64",
            Self::Complex => "complex128",
            Self::Text => "string",
            Self::Number => "json.Number",
            Self::List => "[]interface {}",
            Self::Lists => "[][]interface {}",
            Self::Strings => "[]string",
            Self::Ints => "[]int",
            Self::Map => "map[string]interface {}",
            Self::StringMap => "map[string]string",
            Self::AnyMap => "map[interface {}]interface {}",
            Self::Secret => "*dependency.Secret",
            Self::Auth => "*dependency.SecretAuth",
            Self::Wrapping => "*dependency.SecretWrapInfo",
            Self::Certificate => "dependency.PemEncoded",
            Self::Scratch => "*template.Scratch",
            Self::Time => "time.Time",
            Self::Version => "*semver.Version",
            Self::Channel => "<-chan int64",
            Self::Pairs => "[]*dependency.KeyPair",
            Self::Services => "[]*dependency.HealthService",
            Self::MergeOption => "func(*mergo.Config)",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Any => Kind::Invalid,
            Self::Bool => Kind::Bool,
            Self::Int | Self::Int64 => Kind::Int,
            Self::Uint64 | Self::Uint8 => Kind::Uint,
            Self::Float => Kind::Float,
            Self::Complex => Kind::Complex,
            Self::Text | Self::Number => Kind::Text,
            Self::List
            | Self::Lists
            | Self::Strings
            | Self::Ints
            | Self::Pairs
            | Self::Services => Kind::List,
            Self::Map | Self::StringMap | Self::AnyMap => Kind::Map,
            Self::Secret
            | Self::Auth
            | Self::Wrapping
            | Self::Scratch
            | Self::Version
            | Self::MergeOption => Kind::Pointer,
            Self::Certificate | Self::Time | Self::Raw => Kind::Struct,
            Self::Channel => Kind::Channel,
        }
    }

    /// Whether an untyped nil may stand for a value of this type.
    pub(crate) fn can_be_nil(self) -> bool {
        match self.kind() {
            Kind::Invalid | Kind::List | Kind::Map | Kind::Pointer | Kind::Channel => true,
            Kind::Struct => self == Self::Raw,
            Kind::Bool | Kind::Int | Kind::Uint | Kind::Float | Kind::Complex | Kind::Text => false,
        }
    }

    /// The value of a slot of this type before anything is assigned.
    pub(crate) fn zero(self) -> Value {
        match self {
            Self::Any | Self::Raw => Value::Nil,
            _ if self.can_be_nil() => Value::TypedNil(self),
            Self::Bool => Value::Bool(false),
            Self::Int64 => Value::Int64(0),
            Self::Uint64 => Value::Uint64(0),
            Self::Uint8 => Value::Uint8(0),
            Self::Float => Value::Float(0.0),
            Self::Number => Value::Number(Text::default()),
            Self::Text => Value::Text(Text::default()),
            Self::Int
            | Self::Complex
            | Self::List
            | Self::Lists
            | Self::Strings
            | Self::Ints
            | Self::Map
            | Self::StringMap
            | Self::AnyMap
            | Self::Secret
            | Self::Auth
            | Self::Wrapping
            | Self::Certificate
            | Self::Scratch
            | Self::Time
            | Self::Version
            | Self::Channel
            | Self::Pairs
            | Self::Services
            | Self::MergeOption => Value::Int(0),
        }
    }
}

impl Value {
    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(Items::new(items))
    }

    pub(crate) fn lists(items: Vec<Self>) -> Self {
        Self::Lists(Items::new(items))
    }

    pub(crate) fn strings(items: Vec<Text>) -> Self {
        Self::Strings(Rc::new(Strings::from(items)))
    }

    pub(crate) fn pieces(whole: &Text, places: Vec<Piece>) -> Self {
        Self::Strings(Rc::new(Strings::pieces(whole, places)))
    }

    pub(crate) fn map(entries: BTreeMap<Text, Self>) -> Self {
        Self::Map(Rc::new(Entries {
            made: RefCell::new(entries),
            answered: RefCell::default(),
        }))
    }

    pub(crate) fn text(bytes: impl Into<Text>) -> Self {
        Self::Text(bytes.into())
    }

    /// Whether templates can put any value inside.
    pub(crate) fn is_container(&self) -> bool {
        matches!(self, Self::List(_) | Self::Lists(_) | Self::Map(_))
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// The dynamic type; untyped nil has none.
    pub(crate) fn type_of(&self) -> Option<Type> {
        Some(match self {
            Self::Nil => return None,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Int64(_) => Type::Int64,
            Self::Uint64(_) => Type::Uint64,
            Self::Uint8(_) => Type::Uint8,
            Self::Float(_) => Type::Float,
            Self::Complex(_) => Type::Complex,
            Self::Text(_) => Type::Text,
            Self::Number(_) => Type::Number,
            Self::List(_) => Type::List,
            Self::Lists(_) => Type::Lists,
            Self::Strings(_) => Type::Strings,
            Self::Ints(_) => Type::Ints,
            Self::Map(_) => Type::Map,
            Self::StringMap(_) => Type::StringMap,
            Self::AnyMap(_) => Type::AnyMap,
            Self::Object(object) => object.type_of(),
            Self::TypedNil(of) => *of,
            Self::Channel(_) => Type::Channel,
        })
    }

    /// The name `%T` prints.
    pub(crate) fn type_name(&self) -> &'static str {
        self.type_of().map_or("<nil>", Type::name)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.type_of().map_or(Kind::Invalid, Type::kind)
    }

    /// The bytes of a value of a string kind.
    pub(crate) fn as_text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// A signed integer of any width.
    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) | Self::Int64(n) => Some(*n),
            _ => None,
        }
    }

    /// An unsigned integer of any width.
    pub(crate) fn as_uint(&self) -> Option<u64> {
        match self {
            Self::Uint64(n) => Some(*n),
            Self::Uint8(n) => Some(u64::from(*n)),
            _ => None,
        }
    }

    /// The elements of any list; nil lists have none.
    pub(crate) fn items(&self) -> Option<Vec<Self>> {
        Some(match self {
            Self::List(items) | Self::Lists(items) => items.to_vec(),
            Self::Strings(items) => items.texts().map(Self::Text).collect(),
            Self::Ints(items) => items.iter().copied().map(Self::Int).collect(),
            Self::TypedNil(of) if of.kind() == Kind::List => Vec::new(),
            _ => return None,
        })
    }

    /// How many bytes, elements or entries; `None` for what has no length.
    pub(crate) fn len(&self) -> Option<usize> {
        Some(match self {
            Self::Text(text) | Self::Number(text) => text.len(),
            Self::List(items) | Self::Lists(items) => items.len(),
            Self::Strings(items) => items.len(),
            Self::Ints(items) => items.len(),
            Self::Map(map) => map.borrow().len(),
            Self::StringMap(map) => map.len(),
            Self::AnyMap(entries) => entries.len(),
            Self::Channel(_) => 0,
            Self::TypedNil(of) if matches!(of.kind(), Kind::List | Kind::Map) => 0,
            _ => return None,
        })
    }

    /// Whether `if`, `with`, `and`, `or` and `not` take it for true.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil | Self::TypedNil(_) => false,
            Self::Bool(truth) => *truth,
            Self::Int(n) | Self::Int64(n) => *n != 0,
            Self::Uint64(n) => *n != 0,
            Self::Uint8(n) => *n != 0,
            Self::Float(n) => *n != 0.0,
            Self::Complex(c) => **c != (0.0, 0.0),
            Self::Object(_) | Self::Channel(_) => true,
            _ => self.len() != Some(0),
        }
    }
}

/// A value and whether it sits in a slot of type `interface {}`, which Go's messages and nil rules tell apart.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) value: Value,
    pub(crate) boxed: bool,
}

impl Place {
    pub(crate) fn boxed(value: Value) -> Self {
        Self { value, boxed: true }
    }

    /// Whether it is neither a value nor an interface that could hold one: Go's zero `reflect.Value`.
    pub(crate) fn is_invalid(&self) -> bool {
        !self.boxed && self.value.is_nil()
    }

    /// The type of the slot, as messages name it.
    pub(crate) fn type_name(&self) -> &'static str {
        if self.boxed {
            "interface {}"
        } else {
            self.value.type_name()
        }
    }
}

impl From<Value> for Place {
    fn from(value: Value) -> Self {
        Self {
            value,
            boxed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_no_room_of_elements_that_are_gone() {
        let mut items = vec![Value::Nil; 10_000];
        items.truncate(10);
        let list = Value::list(items);
        assert!(matches!(&list, Value::List(items) if items.len() == 10 && items.capacity() < 20));
    }
}
