//! From Vault's answer to the keys and values of a Secret.

use std::collections::BTreeMap;
use std::time::SystemTime;

use planescape_templates::{Answer, Answers, Environment, Limits, Options, Pass, Template};
use planescape_vault::json::Datum;
use planescape_vault::{Secret, Text};

use super::block::is_key;
use super::order::{Content, OrderedSecret};

/// The largest Secret that the API server takes, values and keys together.
const LARGEST_SECRET: usize = 1 << 20;

/// The limits of one key: no author of templates may keep the runs of others waiting.
const LIMITS_MEMORY: usize = 8 << 20;
const LIMITS_WORK: usize = 1 << 26;

/// Keys and values of a Secret.
pub type Contents = BTreeMap<String, Text>;

/// Why an answer does not make a Secret. Names fields and never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A field that a key is to hold.
    #[error("Vault's answer has no field `{field}`; it has: {known}")]
    NoField {
        /// The field.
        field: String,
        /// The names of those that it has.
        known: String,
    },
    /// The answer has no fields at all.
    #[error("Vault's answer has no fields")]
    Empty,
    /// The field is no single value.
    #[error("the field `{field}` is a list or an object; use keyTemplates with toJSON")]
    Nested {
        /// The field.
        field: String,
    },
    /// The name of the field is no key of a Secret.
    #[error("the field `{field}` cannot be a key of a Secret; give it one with keys")]
    Unnameable {
        /// The field.
        field: String,
    },
    /// The template does not fit.
    #[error("keyTemplates[{key}]: {message}")]
    Template {
        /// The key.
        key: String,
        /// Why.
        message: String,
    },
    /// The making was cut short.
    #[error("the Secret was not made to its end")]
    Unfinished,
    /// More than a Secret can hold.
    #[error(
        "takes {bytes} bytes or more, and a Secret holds {LARGEST_SECRET} at most; order fewer keys"
    )]
    TooLarge {
        /// How much.
        bytes: usize,
    },
}

/// Makes the contents of the Secret.
///
/// # Errors
/// See [`Misfit`].
pub fn of(
    ordered: &OrderedSecret,
    answer: &Secret,
    has_versions: bool,
    now: SystemTime,
) -> Result<Contents, Misfit> {
    let mut room = Room::default();
    match &ordered.content {
        Content::All => all(&mut room, fields(answer, has_versions)?)?,
        Content::Fields(keys) => chosen(&mut room, keys, fields(answer, has_versions)?)?,
        Content::Templates(templates) => rendered(&mut room, templates, ordered, answer, now)?,
    }
    Ok(room.contents)
}

/// The contents so far, which are never more than a Secret holds.
#[derive(Default)]
struct Room {
    contents: Contents,
    bytes: usize,
}

impl Room {
    fn put(&mut self, key: String, value: Text) -> Result<(), Misfit> {
        self.bytes += key.len() + value.len();
        if self.bytes > LARGEST_SECRET {
            return Err(Misfit::TooLarge { bytes: self.bytes });
        }
        self.contents.insert(key, value);
        Ok(())
    }
}

type Fields = BTreeMap<Text, Datum>;

/// A key-value store with versions has its fields one level deeper.
fn fields(answer: &Secret, has_versions: bool) -> Result<&Fields, Misfit> {
    let data = match answer.data().get("data") {
        Some(data) if has_versions => data,
        Some(_) | None => answer.data(),
    };
    let Datum::Object(fields) = data else {
        return Err(Misfit::Empty);
    };
    Ok(fields)
}

fn all(room: &mut Room, fields: &Fields) -> Result<(), Misfit> {
    for (name, datum) in fields {
        let field = shown(name);
        let Some(value) = value(&field, datum)? else {
            continue;
        };
        if !is_key(&field) {
            return Err(Misfit::Unnameable { field });
        }
        room.put(field, value)?;
    }
    if room.contents.is_empty() {
        return Err(Misfit::Empty);
    }
    Ok(())
}

fn chosen(room: &mut Room, keys: &BTreeMap<String, String>, fields: &Fields) -> Result<(), Misfit> {
    for (key, field) in keys {
        let found = fields.get(field.as_bytes());
        let value = match found {
            Some(datum) => value(field, datum)?,
            None => None,
        };
        let value = value.ok_or_else(|| Misfit::NoField {
            field: field.clone(),
            known: fields.keys().map(shown).collect::<Vec<_>>().join(", "),
        })?;
        room.put(key.clone(), value)?;
    }
    Ok(())
}

/// None where the field says nothing.
fn value(field: &str, datum: &Datum) -> Result<Option<Text>, Misfit> {
    match datum {
        Datum::Null => Ok(None),
        Datum::Bool(value) => Ok(Some(Text::from(if *value { "true" } else { "false" }))),
        Datum::Number(text) | Datum::Text(text) => Ok(Some(text.clone())),
        Datum::List(_) | Datum::Object(_) => Err(Misfit::Nested {
            field: field.to_owned(),
        }),
    }
}

fn shown(name: &Text) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn rendered(
    room: &mut Room,
    templates: &BTreeMap<String, String>,
    ordered: &OrderedSecret,
    answer: &Secret,
    now: SystemTime,
) -> Result<(), Misfit> {
    for (key, text) in templates {
        let misfit = |message: String| Misfit::Template {
            key: key.clone(),
            message,
        };
        let text = render(text, &ordered.path, answer, now).map_err(misfit)?;
        room.put(key.clone(), text)?;
    }
    Ok(())
}

/// The answer is what the template's dot stands for.
fn render(text: &str, path: &str, answer: &Secret, now: SystemTime) -> Result<Text, String> {
    let text = format!("{{{{ with secret {path:?} }}}}{text}{{{{ end }}}}");
    let options = Options {
        error_on_missing_key: true,
        limits: Limits {
            output: LARGEST_SECRET,
            memory: LIMITS_MEMORY,
            work: LIMITS_WORK,
            ..Limits::default()
        },
        ..Options::default()
    };
    let template = Template::parse(text.as_bytes(), &options).map_err(|it| it.to_string())?;
    let environment = Environment {
        now,
        ..Environment::default()
    };
    let mut answers = Answers::new();
    let mut pass = template.render(&answers, &environment);
    if let Ok(Pass::Waiting { missing, .. }) = &pass {
        for request in missing {
            if request.path() == path {
                answers.insert(request.clone(), Answer::Secret(Some(answer.clone())));
            }
        }
        pass = template.render(&answers, &environment);
    }
    match pass {
        Ok(Pass::Complete(rendered)) => Ok(rendered.text),
        Ok(Pass::Waiting { .. }) => {
            Err("asks for something else than the secret itself".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &[u8] =
        br#"{"lease_id":"l","data":{"username":"v-1","password":"s3cret","none":null}}"#;
    const VERSIONED: &[u8] =
        br#"{"data":{"data":{"user":"svc","port":5432,"on":true},"metadata":{"version":1}}}"#;

    #[test]
    fn a_database_gives_exactly_username_and_password() {
        assert_eq!(
            texts(of(
                &ordered(Content::All),
                &secret(CREDENTIALS),
                false,
                now()
            )),
            Ok(vec!["password=s3cret".into(), "username=v-1".into()])
        );
    }

    #[test]
    fn a_store_with_versions_gives_its_fields_and_not_its_metadata() {
        assert_eq!(
            texts(of(&ordered(Content::All), &secret(VERSIONED), true, now())),
            Ok(vec![
                "on=true".into(),
                "port=5432".into(),
                "user=svc".into()
            ])
        );
    }

    #[test]
    fn keys_choose_fields_and_templates_combine_them() {
        let keys = map(&[("PGUSER", "username")]);
        assert_eq!(
            texts(of(
                &ordered(Content::Fields(keys)),
                &secret(CREDENTIALS),
                false,
                now()
            )),
            Ok(vec!["PGUSER=v-1".into()])
        );
        let templates = map(&[("URL", "pg://{{ .Data.username }}:{{ .Data.password }}@db")]);
        assert_eq!(
            texts(of(
                &ordered(Content::Templates(templates)),
                &secret(CREDENTIALS),
                false,
                now()
            )),
            Ok(vec!["URL=pg://v-1:s3cret@db".into()])
        );
    }

    #[test]
    fn what_does_not_fit_is_said_without_a_value() {
        let fields = |field: &str| Content::Fields(map(&[("K", field)]));
        let template = |text: &str| Content::Templates(map(&[("K", text)]));
        for (content, said) in [
            (
                fields("pass"),
                "no field `pass`; it has: none, password, username",
            ),
            (fields("none"), "no field `none`"),
            (template("{{ .Data.pass }}"), "keyTemplates[K]: "),
            (
                template(r#"{{ with secret "kv/other" }}x{{ end }}"#),
                "something else",
            ),
            (template(r#"{{ file "/etc/passwd" }}"#), "something else"),
        ] {
            let misfit = of(&ordered(content), &secret(CREDENTIALS), false, now());
            let misfit = misfit.map(drop).unwrap_err().to_string();
            assert!(misfit.contains(said), "{misfit}");
            assert!(!misfit.contains("s3cret"), "{misfit}");
        }
        let nested = of(&ordered(Content::All), &secret(VERSIONED), false, now());
        assert!(nested.map(drop).unwrap_err().to_string().contains("toJSON"));
        let large = format!(r#"{{"data":{{"a":"{}"}}}}"#, "x".repeat(LARGEST_SECRET));
        let large = of(
            &ordered(Content::All),
            &secret(large.as_bytes()),
            false,
            now(),
        );
        assert_eq!(
            large.map(drop),
            Err(Misfit::TooLarge {
                bytes: LARGEST_SECRET + 1
            })
        );
    }

    #[test]
    fn a_secret_may_be_as_large_as_it_may_and_has_at_least_one_key_of_its_own() {
        let all = |body: &str| {
            let made = of(
                &ordered(Content::All),
                &secret(body.as_bytes()),
                false,
                now(),
            );
            made.map(|contents| contents.len())
        };
        let largest = format!(r#"{{"data":{{"a":"{}"}}}}"#, "x".repeat(LARGEST_SECRET - 1));
        let unnameable = Misfit::Unnameable {
            field: "a b".into(),
        };

        assert_eq!(all(&largest), Ok(1));
        assert_eq!(all(r#"{"data":{"a":null}}"#), Err(Misfit::Empty));
        assert_eq!(all(r#"{"data":{"a b":"c"}}"#), Err(unnameable));
    }

    #[test]
    fn a_template_that_would_keep_others_waiting_is_stopped() {
        let large = r#"{{ range loop 2000000 }}x{{ end }}"#;
        let slow = r#"{{ range loop 9000000 }}{{ if "x" | toUpper | eq "y" }}{{ end }}{{ end }}"#;
        let endless =
            r#"{{ regexReplaceAll "(a*)" (sprig_repeat 200000 "$1") (sprig_repeat 200000 "a") }}"#;
        let many = format!(
            "{{{{ range 200000 }}}}{{{{ if and{} }}}}{{{{ end }}}}{{{{ end }}}}",
            " 1".repeat(10_000)
        );
        for text in [large, slow, endless, &many] {
            let templates = map(&[("a", text), ("b", text), ("c", text)]);
            let ordered = ordered(Content::Templates(templates));
            let misfit = of(&ordered, &secret(CREDENTIALS), false, now());

            let misfit = misfit.map(drop).unwrap_err().to_string();
            assert!(misfit.contains("keyTemplates[a]"), "{misfit}");
        }
        let half = format!(
            "{{{{ range loop 700 }}}}{}{{{{ end }}}}",
            "x".repeat(1 << 10)
        );
        let keys: Vec<String> = (0..40).map(|number| format!("key-{number}")).collect();
        let templates: Vec<(&str, &str)> = keys
            .iter()
            .map(|key| (key.as_str(), half.as_str()))
            .collect();
        let many = ordered(Content::Templates(map(&templates)));
        let misfit = of(&many, &secret(CREDENTIALS), false, now());
        let Err(Misfit::TooLarge { bytes }) = misfit else {
            panic!("it is taken");
        };
        assert!(
            bytes < 2 * LARGEST_SECRET,
            "the second is one too many: {bytes}"
        );
    }

    fn texts(contents: Result<Contents, Misfit>) -> Result<Vec<String>, Misfit> {
        let text = |(key, value): (String, Text)| format!("{key}={}", shown(&value));
        contents.map(|contents| contents.into_iter().map(text).collect())
    }

    fn ordered(content: Content) -> OrderedSecret {
        OrderedSecret {
            path: "database/creds/readonly".into(),
            params: BTreeMap::new(),
            secret_name: "vault-db-creds".into(),
            content,
        }
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    fn secret(body: &[u8]) -> Secret {
        Secret::from_json(body).unwrap()
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}
