//! The document's shape.

use std::collections::BTreeMap;

use planescape_vault::json::{self, Datum};
use planescape_vault::mount::Mount;
use planescape_vault::{Secret, Text};

use crate::request::Answer;

use super::{Call, Known, MalformedResponses, Response, Responses};

const SECTIONS: [&str; 2] = ["mounts", "responses"];

pub(super) fn document(document: &[u8]) -> Result<Responses, MalformedResponses> {
    let refuse = |problem: &str| MalformedResponses {
        problems: vec![problem.to_owned()],
    };
    let document =
        json::decode(document).map_err(|invalid| refuse(&format!("not JSON: {invalid}")))?;
    let Datum::Object(sections) = &document else {
        return Err(refuse("must be an object with `mounts` and `responses`"));
    };
    let mut problems = Vec::new();
    for name in sections.keys().map(text_of) {
        if !SECTIONS.contains(&name.as_str()) {
            problems.push(format!(
                "{name}: unknown; there are `mounts` and `responses`"
            ));
        }
    }
    let mut read = Responses::default();
    for (name, mount) in entries(&document, "mounts", &mut problems) {
        match read_mount(&name, mount) {
            Ok(mount) => read.mounts.push(mount),
            Err(problem) => problems.push(format!("mounts.{name}: {problem}")),
        }
    }
    for (key, body) in entries(&document, "responses", &mut problems) {
        match read_known(&key, body) {
            Ok(known) => read.known.push(known),
            Err(problem) => problems.push(format!("responses.{key}: {problem}")),
        }
    }
    if problems.is_empty() {
        Ok(read)
    } else {
        Err(MalformedResponses { problems })
    }
}

fn text_of(text: &Text) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn entries<'d>(
    document: &'d Datum,
    section: &str,
    problems: &mut Vec<String>,
) -> Vec<(String, &'d Datum)> {
    match document.get(section) {
        None => Vec::new(),
        Some(Datum::Object(entries)) => entries
            .iter()
            .map(|(key, value)| (text_of(key), value))
            .collect(),
        Some(_) => {
            problems.push(format!("{section}: must be an object"));
            Vec::new()
        }
    }
}

fn read_mount(name: &str, mount: &Datum) -> Result<Mount, String> {
    let Datum::Object(_) = mount else {
        return Err("must be an object with `type` and `options`".to_owned());
    };
    let kind = mount
        .get("type")
        .and_then(Datum::as_str)
        .ok_or("`type` is missing: kv, database, pki, …")?;
    let version = match mount
        .get("options")
        .and_then(|options| options.get("version"))
    {
        None | Some(Datum::Null) => String::new(),
        Some(Datum::Text(version) | Datum::Number(version)) => text_of(version),
        Some(_) => return Err("`options.version` must be \"1\" or \"2\"".to_owned()),
    };
    let path = format!("{}/", name.trim_matches('/'));
    Ok(Mount::new(&path, kind, &version))
}

fn read_known(key: &str, body: &Datum) -> Result<Known, String> {
    let mut words = key.trim().splitn(3, char::is_whitespace);
    let method = match words.next() {
        Some("GET") => "GET",
        Some("LIST") => "LIST",
        Some("PUT") => "PUT",
        _ => return Err("must start with GET, LIST or PUT".to_owned()),
    };
    let path = words.next().unwrap_or_default().trim_matches('/');
    if path.is_empty() {
        return Err("has no path".to_owned());
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path.trim_end_matches('/'), Some(query.to_owned())),
        None => (path, None),
    };
    let parameters = match words.next().map(str::trim).filter(|text| !text.is_empty()) {
        None => None,
        Some(_) if method != "PUT" => return Err("only a PUT has parameters".to_owned()),
        Some(text) => Some(read_parameters(text)?),
    };
    Ok(Known {
        call: Call {
            method,
            path: path.to_owned(),
            query,
        },
        parameters,
        response: read_response(body)?,
    })
}

fn read_parameters(text: &str) -> Result<BTreeMap<String, String>, String> {
    let refuse = || "the parameters after the path must be a JSON object of texts".to_owned();
    let parameters = json::decode(text.as_bytes()).map_err(|_| refuse())?;
    // KV version 2 sends them wrapped.
    let inner = match parameters.get("data") {
        Some(data @ Datum::Object(_)) => data,
        _ => &parameters,
    };
    let Datum::Object(entries) = inner else {
        return Err(refuse());
    };
    entries
        .iter()
        .map(|(key, value)| match value {
            Datum::Text(text) | Datum::Number(text) => Ok((text_of(key), text_of(text))),
            Datum::Bool(truth) => Ok((text_of(key), truth.to_string())),
            Datum::Null | Datum::List(_) | Datum::Object(_) => Err(refuse()),
        })
        .collect()
}

fn read_response(body: &Datum) -> Result<Response, String> {
    match body {
        Datum::Null => return Ok(Response::Answer(Answer::Secret(None))),
        Datum::Object(_) => {}
        Datum::Bool(_) | Datum::Number(_) | Datum::Text(_) | Datum::List(_) => {
            return Err("must be the object that Vault would send, or {\"status\": …}".to_owned());
        }
    }
    if let (Some(status), None) = (body.get("status"), body.get("data")) {
        return read_status(status, body);
    }
    Ok(Response::Answer(Answer::Secret(Some(Secret::of(body)))))
}

fn read_status(status: &Datum, body: &Datum) -> Result<Response, String> {
    let code = match status {
        Datum::Number(digits) => text_of(digits).parse().ok(),
        _ => None,
    };
    let errors = match body.get("errors") {
        Some(Datum::List(errors)) => errors
            .iter()
            .filter_map(Datum::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    match code {
        Some(200..=299) => Ok(Response::Answer(Answer::Secret(None))),
        Some(status @ 300..=599) => Ok(Response::Refused { status, errors }),
        _ => Err("`status` must be an HTTP status from 200 to 599".to_owned()),
    }
}
