//! The value that `pkiCert` hands to a template: a certificate with its key and chain, found in PEM texts.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pem::{EncodeConfig, LineEnding, Pem};
use planescape_vault::json::Datum;
use planescape_vault::{MalformedAnswer, Secret, Text};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::BasicConstraints;
use zeroize::Zeroizing;

use crate::object::Object;
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
    /// When the certificate begins and ends to be valid.
    pub validity: Option<(SystemTime, SystemTime)>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl Certificate {
    /// Finds the blocks of a PEM text: a block whose name ends in `PRIVATE KEY` is the key, the first
    /// certificate of an authority the authority, any other certificate the certificate. Text that is no PEM
    /// is passed over.
    ///
    /// # Errors
    /// A block that says it is a certificate and is none.
    pub fn from_pem(text: &[u8]) -> Result<Self, MalformedAnswer> {
        let mut found = Self::default();
        let blocks = pem::parse_many(text).map_err(|_| MalformedAnswer::new("no PEM"))?;
        for block in blocks {
            if block.tag().ends_with("PRIVATE KEY") {
                found.key = encoded(&block);
            } else if block.tag() == "CERTIFICATE" {
                found.add(&block)?;
            }
        }
        Ok(found)
    }

    /// Finds the certificate in what a PKI engine answered, whichever fields it is in.
    ///
    /// # Errors
    /// An answer without a certificate.
    pub fn issued(answer: &Secret) -> Result<Self, MalformedAnswer> {
        let mut texts = Zeroizing::new(Vec::new());
        collect(answer.data(), &mut texts);
        let found = Self::from_pem(&texts)?;
        if found.certificate.is_empty() {
            return Err(MalformedAnswer::new("no certificate"));
        }
        Ok(found)
    }

    fn add(&mut self, block: &Pem) -> Result<(), MalformedAnswer> {
        let malformed = |_| MalformedAnswer::new("a certificate that cannot be read");
        let parsed = x509_cert::Certificate::from_der(block.contents()).map_err(malformed)?;
        let parsed = parsed.tbs_certificate();
        let constraints = parsed
            .get_extension::<BasicConstraints>()
            .map_err(malformed)?;
        let text = encoded(block);
        if !constraints.is_some_and(|(_, constraints)| constraints.ca) {
            let moment = |since: Duration| UNIX_EPOCH + since;
            let validity = parsed.validity();
            self.certificate = text;
            self.validity = Some((
                moment(validity.not_before.to_unix_duration()),
                moment(validity.not_after.to_unix_duration()),
            ));
            return Ok(());
        }
        if self.authority.is_empty() {
            self.authority = text.clone();
        }
        if !self.chain.contains(&text) {
            self.chain.push(text);
        }
        Ok(())
    }

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

fn encoded(block: &Pem) -> Text {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    Text::from(pem::encode_config(block, config))
}

/// The texts of an answer, a line for each, and those of its `ca_chain`.
fn collect(data: &Datum, texts: &mut Vec<u8>) {
    let Datum::Object(entries) = data else { return };
    for (name, value) in &**entries {
        match value {
            Datum::Text(text) => {
                texts.extend_from_slice(text);
                texts.push(b'\n');
            }
            Datum::List(items) if **name == *b"ca_chain" => {
                for item in items {
                    if let Datum::Text(text) = item {
                        texts.extend_from_slice(text);
                        texts.push(b'\n');
                    }
                }
            }
            Datum::Null | Datum::Bool(_) | Datum::Number(_) | Datum::List(_) | Datum::Object(_) => {
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAF: &str = include_str!("../testdata/pki/leaf.pem");
    const INTERMEDIATE: &str = include_str!("../testdata/pki/int.pem");
    const ROOT: &str = include_str!("../testdata/pki/ca.pem");
    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\naGVsbG8=\n-----END EC PRIVATE KEY-----\n";

    #[test]
    fn a_bundle_is_taken_apart_whatever_its_order() {
        let bundle = format!("a remark\n{INTERMEDIATE}{KEY}{LEAF}{ROOT}{ROOT}");

        let found = Certificate::from_pem(bundle.as_bytes()).expect("it is PEM");

        assert_eq!(&*found.certificate, LEAF.as_bytes());
        assert_eq!(&*found.key, KEY.as_bytes());
        assert_eq!(&*found.authority, INTERMEDIATE.as_bytes());
        let chain: Vec<&[u8]> = found.chain.iter().map(|text| &**text).collect();
        assert_eq!(chain, [INTERMEDIATE.as_bytes(), ROOT.as_bytes()]);
        let (begin, end) = found.validity.expect("it has a certificate");
        let years = end.duration_since(begin).expect("in order").as_secs() / (365 * 86_400);
        assert_eq!(years, 100);
    }

    #[test]
    fn an_answer_is_searched_field_by_field() {
        let json = |text: &str| text.replace('\n', "\\n");
        let body = format!(
            r#"{{"data": {{"certificate": "{}", "issuing_ca": "{}", "ca_chain": ["{}"], "private_key": "{}", "serial_number": "1"}}}}"#,
            json(LEAF.trim_end()),
            json(ROOT.trim_end()),
            json(ROOT.trim_end()),
            json(KEY.trim_end()),
        );
        let answer = Secret::from_json(body.as_bytes()).expect("a secret");

        let found = Certificate::issued(&answer).expect("it has a certificate");

        assert_eq!(
            (&*found.certificate, &*found.key),
            (LEAF.as_bytes(), KEY.as_bytes())
        );
        assert_eq!(found.chain.len(), 1);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let nothing = Secret::from_json(br#"{"data": {"certificate": "CERT"}}"#).expect("a secret");
        assert!(Certificate::issued(&nothing).is_err());

        let broken = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(Certificate::from_pem(broken.as_bytes()).is_err());
    }
}
