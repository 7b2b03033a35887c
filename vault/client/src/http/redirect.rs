//! A standby says where the active server is.

use planescape_vault::Error;
use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};

use super::malformed;

/// The target of a standby's redirect. Never from TLS to none.
pub(super) fn target(from: &Url, response: &Response) -> Result<Option<Url>, Error> {
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    resolve(from, response.status(), location)
}

fn resolve(from: &Url, status: StatusCode, location: Option<&str>) -> Result<Option<Url>, Error> {
    let is_redirect = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::TEMPORARY_REDIRECT
    );
    if !is_redirect {
        return Ok(None);
    }
    let target = location
        .and_then(|location| from.join(location).ok())
        .filter(Url::has_host)
        .ok_or_else(|| malformed("it redirects to nowhere"))?;
    match (from.scheme(), target.scheme()) {
        (_, "https") | ("http", "http") => Ok(Some(target)),
        ("https", "http") => Err(malformed("it redirects from https to http")),
        _ => Err(malformed("it redirects to nowhere")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_upwards_and_never_downwards() {
        let cases = [
            (
                "http://a:8200/v1/x",
                "http://b:8200/v1/x",
                Ok("http://b:8200/v1/x"),
            ),
            (
                "http://a:8200/v1/x",
                "https://b:8200/v1/x",
                Ok("https://b:8200/v1/x"),
            ),
            ("https://a:8200/v1/x", "/v1/y", Ok("https://a:8200/v1/y")),
            (
                "https://a:8200/v1/x",
                "http://a:8200/v1/x",
                Err("from https to http"),
            ),
            (
                "https://a:8200/v1/x",
                "file:///etc/passwd",
                Err("to nowhere"),
            ),
            ("http://a:8200/v1/x", "ftp://b/x", Err("to nowhere")),
        ];
        for (from, location, expected) in cases {
            let from = Url::parse(from).unwrap();
            let found = resolve(&from, StatusCode::TEMPORARY_REDIRECT, Some(location));
            match (found, expected) {
                (Ok(target), Ok(expected)) => assert_eq!(target.unwrap().as_str(), expected),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, _) => panic!("{from} {location}: {found:?}"),
            }
        }
    }

    #[test]
    fn only_three_answers_are_redirects() {
        let from = Url::parse("http://a/v1/x").unwrap();
        for status in [200, 300, 303, 304, 308, 400] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(resolve(&from, status, Some("http://b/")).unwrap(), None);
        }
        assert!(resolve(&from, StatusCode::FOUND, None).is_err());
    }
}
