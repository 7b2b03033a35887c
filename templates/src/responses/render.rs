//! Renders with canned answers alone.

use planescape_vault::{MalformedAnswer, Text};

use crate::error::Error;
use crate::options::Environment;
use crate::pass::{Pass, Rendered};
use crate::request::{Answer, Answers, Request};
use crate::template::Template;

use super::{Response, Responses};

/// No template that people write has more layers of requests that depend on each other.
const MOST_PASSES: usize = 100;

/// Why canned answers do not give a text. No message shows a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RenderError {
    /// The template is wrong for these answers.
    #[error(transparent)]
    Template(#[from] Error),
    /// An answer is a failure.
    #[error("{key}: vault answered {status}{}", told(errors))]
    Refused {
        /// The answer's key.
        key: String,
        /// The HTTP status.
        status: u16,
        /// Vault's words.
        errors: Vec<String>,
    },
    /// An answer is none to this request.
    #[error("{key}")]
    Malformed {
        /// The answer's key.
        key: String,
        /// The mistake in the answer.
        source: MalformedAnswer,
    },
    /// A file that the template reads cannot be read.
    #[error("file {path}: {reason}")]
    File {
        /// As the template says it.
        path: String,
        /// The system's error.
        reason: String,
    },
    /// There are no answers to these.
    #[error("no response for:\n  {}", keys.join("\n  "))]
    Missing {
        /// The keys that the answers would have.
        keys: Vec<String>,
    },
}

fn told(errors: &[String]) -> String {
    if errors.is_empty() {
        return String::new();
    }
    format!(": {}", errors.join("; "))
}

impl Responses {
    /// Renders a template with these answers; `read` reads the files it names.
    ///
    /// # Errors
    /// The error of the template or of an answer; or every missing answer that can be known.
    pub fn render(
        &self,
        template: &Template,
        environment: &Environment,
        mut read: impl FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Rendered, RenderError> {
        let mut answers = Answers::new();
        let mut keys = Vec::new();
        for _ in 0..MOST_PASSES {
            let missing = match template.render(&answers, environment)? {
                Pass::Complete(rendered) => return Ok(rendered),
                Pass::Waiting { missing, .. } => missing,
            };
            keys.clear();
            let mut is_further = false;
            for request in missing {
                match self.answer(&request, &mut read)? {
                    Some(Answer::Secret(Some(secret))) if secret.is_deleted(environment.now) => {
                        return Err(self.deleted(&request));
                    }
                    Some(answer) => {
                        answers.insert(request, answer);
                        is_further = true;
                    }
                    None => keys.push(self.key(&request)),
                }
            }
            // Answers can lead to requests that are missing too; name them all.
            if !is_further {
                break;
            }
        }
        Err(RenderError::Missing { keys })
    }

    /// The agent's error when Vault answers with a version that was deleted.
    fn deleted(&self, request: &Request) -> RenderError {
        RenderError::Refused {
            key: self.key(request),
            status: 404,
            errors: vec!["the secret is deleted".to_owned()],
        }
    }

    fn answer(
        &self,
        request: &Request,
        read: &mut impl FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Option<Answer>, RenderError> {
        if let Request::File { path } = request {
            let path = path.clone();
            return match read(&path) {
                Ok(text) => Ok(Some(Answer::File(Text::from(text)))),
                Err(reason) => Err(RenderError::File { path, reason }),
            };
        }
        match self.response(request) {
            Some(Response::Answer(answer)) => Ok(Some(answer)),
            Some(Response::Refused { status, errors }) => Err(RenderError::Refused {
                key: self.key(request),
                status,
                errors,
            }),
            Some(Response::Malformed(source)) => Err(RenderError::Malformed {
                key: self.key(request),
                source,
            }),
            None => Ok(None),
        }
    }
}
