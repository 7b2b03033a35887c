//! A run that somebody asked for by hand: annotation `planescape.io/rerun`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::name;

/// A run that somebody asked for. Each token asks for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The text that tells it from others.
    pub token: String,
    /// The arguments of the first container, instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Variables of the first container, besides the template's or instead of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// The reason why a Job is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// An instant of the schedule.
    Tick(Timestamp),
    /// A request.
    Rerun {
        /// When it is met.
        at: Timestamp,
        /// The request.
        request: &'a Request,
    },
}

impl Request {
    /// As the annotation says: a token, or a JSON object with a token.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let request = if text.starts_with('{') {
            let fail = |error| format!("is not a request: {}", mistake(&error));
            serde_json::from_str(text).map_err(fail)?
        } else {
            Self {
                token: text.to_owned(),
                ..Self::default()
            }
        };
        if request.token.is_empty() {
            return Err("has no token; write any text that was not there before".to_owned());
        }
        Ok(request)
    }

    /// As the annotation says it.
    pub fn text(&self) -> String {
        if self.args.is_none() && self.env.is_empty() && !self.token.starts_with('{') {
            return self.token.clone();
        }
        json!(self).to_string()
    }

    pub(super) fn change(&self, template: &mut Value) {
        let Some(container) = template.pointer_mut("/spec/containers/0") else {
            return;
        };
        if let Some(args) = &self.args {
            container["args"] = json!(args);
        }
        if self.env.is_empty() {
            return;
        }
        let known = container["env"].take();
        let known = known.as_array().cloned().unwrap_or_default();
        let is_given = |variable: &Value| {
            let name = variable["name"].as_str().unwrap_or_default();
            self.env.contains_key(name)
        };
        let given = self.env.iter();
        let given = given.map(|(name, value)| json!({ "name": name, "value": value }));
        let kept = known.into_iter().filter(|variable| !is_given(variable));
        container["env"] = kept.chain(given).collect();
    }
}

/// The expected type; never the value that was found, which may be a secret.
fn mistake(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) if text.starts_with("invalid ") => format!("expected {expected}"),
        Some(_) | None => text,
    }
}

/// The digits in the name of a request's Job; also for a text that is no request.
pub fn requested_id(uid: &str, text: &str) -> String {
    match Request::parse(text) {
        Ok(request) => rerun_id(uid, &request.token),
        Err(_) => rerun_id(uid, text),
    }
}

/// The digits in the name of a token's Job: the same for the same token.
pub fn rerun_id(uid: &str, token: &str) -> String {
    name::digits(&format!("{uid}/{token}")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_token_or_an_object_that_says_more() {
        let plain = Request::parse(" after-the-fix ").unwrap();
        let full = Request {
            token: "t".into(),
            args: Some(vec!["up".into()]),
            env: BTreeMap::from([("LEVEL".into(), "debug".into())]),
        };

        assert_eq!((plain.text(), plain.args), ("after-the-fix".into(), None));
        assert_eq!(Request::parse(&full.text()).unwrap(), full);
        for wrong in ["", " ", "{", r#"{"token":""}"#, r#"{"token":"t","arg":[]}"#] {
            assert!(Request::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_request_that_is_none_is_told_of_without_what_it_holds() {
        for (wrong, expected) in [
            (r#"{"token":"t","args":"s3cret, expected x"}"#, "a sequence"),
            (r#"{"token":"t","env":{"A":"b"},"env":"s3cret"}"#, "env"),
            (r#"{"token":"t","env":"s3cret"}"#, "a map"),
            (r#"{"token":"t","argz":["s3cret"]}"#, "argz"),
        ] {
            let said = Request::parse(wrong).unwrap_err();
            assert!(
                said.contains(expected) && !said.contains("s3cret"),
                "{said}"
            );
        }
    }

    #[test]
    fn changes_the_first_container_alone() {
        let request = Request {
            token: "t".into(),
            args: Some(vec!["up".into()]),
            env: BTreeMap::from([("A".into(), "new".into()), ("B".into(), "2".into())]),
        };
        let mut template = json!({ "spec": { "containers": [
            { "name": "main", "args": ["down"], "env": [
                { "name": "A", "valueFrom": {} }, { "name": "C", "value": "$(A)" },
            ] },
            { "name": "beside" },
        ] } });

        request.change(&mut template);

        assert_eq!(
            template["spec"]["containers"],
            json!([
                { "name": "main", "args": ["up"], "env": [
                    { "name": "C", "value": "$(A)" },
                    { "name": "A", "value": "new" }, { "name": "B", "value": "2" },
                ] },
                { "name": "beside" },
            ])
        );
    }
}
