//! Amazon's signature, version 4, of one question.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};

/// Credentials.
pub(super) struct Keys {
    pub(super) access: String,
    pub(super) secret: String,
    pub(super) session: Option<String>,
}

/// A form that is posted to `/`.
pub(super) struct Question<'a> {
    pub(super) host: &'a str,
    pub(super) region: &'a str,
    pub(super) body: &'a str,
    /// The value that binds the question to one Vault.
    pub(super) server_id: Option<&'a str>,
}

/// The headers of the signed question. The time counts from 1970.
pub(super) fn sign(
    question: &Question<'_>,
    keys: &Keys,
    now: Duration,
) -> BTreeMap<String, String> {
    let time = Time::at(now);
    let mut headers = BTreeMap::from([
        ("Content-Length".to_owned(), question.body.len().to_string()),
        (
            "Content-Type".to_owned(),
            "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
        ),
        ("Host".to_owned(), question.host.to_owned()),
        ("X-Amz-Date".to_owned(), time.full.clone()),
    ]);
    if let Some(session) = &keys.session {
        headers.insert("X-Amz-Security-Token".to_owned(), session.clone());
    }
    if let Some(id) = question.server_id {
        headers.insert("X-Vault-AWS-IAM-Server-ID".to_owned(), id.to_owned());
    }
    let service = ["sts", question.region];
    let authorization = authorization(service, question.body, &headers, keys, &time);
    headers.insert("Authorization".to_owned(), authorization);
    // The host stands in the URL.
    headers.remove("Host");
    headers
}

struct Time {
    full: String,
    day: String,
}

impl Time {
    fn at(now: Duration) -> Self {
        let seconds = now.as_secs();
        let (year, month, day) = date(seconds / 86_400);
        let rest = seconds % 86_400;
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let day = format!("{year:04}{month:02}{day:02}");
        Self {
            full: format!("{day}T{hour:02}{minute:02}{second:02}Z"),
            day,
        }
    }
}

/// The date so many days after 1970 began, in eras of 400 years that start in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn authorization(
    [service, region]: [&str; 2],
    body: &str,
    headers: &BTreeMap<String, String>,
    keys: &Keys,
    time: &Time,
) -> String {
    let lower: BTreeMap<String, &str> = headers
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.trim()))
        .collect();
    let canonical: String = lower
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let names: Vec<&str> = lower.keys().map(String::as_str).collect();
    let names = names.join(";");
    let request = format!("POST\n/\n\n{canonical}\n{names}\n{}", hash(body));
    let scope = format!("{}/{region}/{service}/aws4_request", time.day);
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        time.full,
        hash(&request)
    );
    let key = zeroize::Zeroizing::new(format!("AWS4{}", keys.secret));
    let steps = [time.day.as_str(), region, service, "aws4_request", &text];
    let mut signature = key.as_bytes().to_vec();
    for step in steps {
        let key = hmac::Key::new(HMAC_SHA256, &signature);
        signature = hmac::sign(&key, step.as_bytes()).as_ref().to_vec();
    }
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        keys.access,
        hex(&signature)
    )
}

fn hash(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `post-vanilla` of Amazon's published test suite.
    #[test]
    fn the_published_vector_is_signed_as_published() {
        let keys = Keys {
            access: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session: None,
        };
        let time = Time::at(Duration::from_secs(1_440_938_160));
        let headers = BTreeMap::from([
            ("Host".to_owned(), "example.amazonaws.com".to_owned()),
            ("X-Amz-Date".to_owned(), time.full.clone()),
        ]);

        let signed = authorization(["service", "us-east-1"], "", &headers, &keys, &time);

        assert_eq!(time.full, "20150830T123600Z");
        assert_eq!(
            signed,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(Time::at(Duration::from_secs(seconds)).full, expected);
        }
    }
}
