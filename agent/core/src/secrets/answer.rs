//! Answers that hold nothing although Vault refuses nothing.

use planescape_templates::{Answer, Request};
use planescape_vault::{Error, Refusal, wire};

use crate::clock::Now;
use crate::failure::Failure;

/// An empty answer to a read holds nothing that a file could.
pub(super) fn found(request: &Request, answer: Answer) -> Result<Answer, Failure> {
    match (request, &answer) {
        (Request::Read { .. }, Answer::Secret(None)) => {
            let refusal = wire::refusal(404, b"", None);
            Err(Error::Refused(refusal).into())
        }
        _ => Ok(answer),
    }
}

/// Old servers answer a deleted version with its metadata and no error.
pub(super) fn undeleted(answer: Answer, now: Now) -> Result<Answer, Failure> {
    match &answer {
        Answer::Secret(Some(secret)) if secret.is_deleted(now.wall) => {
            let message = "the latest version of the secret is deleted".to_owned();
            Err(Error::Refused(Refusal::deleted(message)).into())
        }
        Answer::Secret(_) | Answer::List(_) | Answer::Pki(_) | Answer::File(_) => Ok(answer),
    }
}
