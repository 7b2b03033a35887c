//! Certificates: the one in the template's own file is kept while it is good.

use planescape_templates::{Answer, Certificate, Request};
use planescape_vault::Error;

use crate::failure::Failure;

/// The certificate and key in a file's content, if both are there.
pub(super) fn kept(file: &Answer) -> Option<Certificate> {
    let Answer::File(text) = file else {
        return None;
    };
    let found = Certificate::from_pem(text).ok()?;
    let is_whole = !found.certificate.is_empty() && !found.key.is_empty();
    is_whole.then_some(found)
}

/// The certificate that Vault issued, where that was asked for.
pub(super) fn issued(request: &Request, answer: Answer) -> Result<Answer, Failure> {
    if !matches!(request, Request::Pki { .. }) {
        return Ok(answer);
    }
    let Answer::Secret(Some(secret)) = &answer else {
        return Err(malformed("no certificate"));
    };
    match Certificate::issued(secret) {
        Ok(certificate) => Ok(Answer::Pki(certificate)),
        Err(error) => Err(malformed(&error.to_string())),
    }
}

fn malformed(message: &str) -> Failure {
    Failure::Vault(Error::Malformed {
        message: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use planescape_vault::Text;

    use super::*;

    #[test]
    fn a_certificate_is_kept_where_its_key_stands_beside_it() {
        const LEAF: &str = include_str!("../../../../templates/testdata/pki/leaf.pem");
        const KEY: &str = "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n";
        for (text, is_kept) in [
            (format!("{LEAF}{KEY}"), true),
            (LEAF.to_owned(), false),
            (KEY.to_owned(), false),
            ("text".to_owned(), false),
        ] {
            let found = kept(&Answer::File(Text::from(text.as_str())));

            assert_eq!(found.is_some(), is_kept, "{text}");
        }
    }
}
