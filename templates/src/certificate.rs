//! What `pkiCert` hands to a template.

use std::fmt;
use std::rc::Rc;

use crate::object::Object;
use crate::text::Text;
use crate::value::{Type, Value};

/// A certificate with its key and chain, as PEM; wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate itself.
    pub certificate: Text,
    /// Its private key.
    pub key: Text,
    /// The authority that issued it.
    pub authority: Text,
    /// All authorities up to the root.
    pub chain: Vec<Text>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl Certificate {
    pub(crate) fn value(&self) -> Value {
        let chain = if self.chain.is_empty() {
            Value::TypedNil(Type::Strings)
        } else {
            Value::strings(self.chain.clone())
        };
        Value::Object(Rc::new(Object::Struct {
            of: Type::Certificate,
            fields: vec![
                ("Cert", Value::Text(self.certificate.clone())),
                ("Key", Value::Text(self.key.clone())),
                ("CA", Value::Text(self.authority.clone())),
                ("CAChain", chain),
            ],
        }))
    }
}
