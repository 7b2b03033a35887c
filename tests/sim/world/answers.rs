//! The world's answers to commands, and their effects on it.

use planescape_agent_core::{Command, Destination, Failure, Input, LeftToken, Made, Ticket, Token};
use planescape_templates::Answer;
use planescape_vault::mount::Mount;
use planescape_vault::{Call, Secret, Text};

use super::{PASSWORD, World};
use crate::fault::Fault;

impl World {
    /// On the way there and back something may go wrong.
    pub(super) fn answer(&mut self, command: Command) -> Input {
        let fault = Fault::drawn(&mut self.chance);
        let now = self.now.moment;
        match command {
            Command::LogIn { ticket } => self.log_in(ticket, fault),
            Command::Remember { token, accessor } => self.remember(&token, accessor),
            Command::RenewToken {
                ticket,
                token,
                increment,
            } => Input::TokenRenewed {
                ticket,
                result: fault.around(|| self.vault.renew_token(token.expose(), increment, now)),
            },
            Command::LookUpToken { ticket, token } => Input::TokenLookedUp {
                ticket,
                result: fault.around(|| self.vault.check(token.expose(), now)),
            },
            Command::FindMount {
                ticket,
                path,
                token,
            } => {
                let known = self.vault.check(token.expose(), now);
                Input::MountFound {
                    ticket,
                    result: fault.around(|| known.map(|()| mount(&path))),
                    path,
                }
            }
            Command::Read {
                ticket,
                request,
                call,
                token,
            } => {
                let result = fault.around(|| self.read(&call, token.expose()));
                if let Ok(Answer::Secret(Some(secret))) = &result {
                    let made = secret.client_token().and_then(Text::as_str);
                    let held = made.unwrap_or_else(|| secret.lease_id()).to_owned();
                    self.promises.latest.insert(request.clone(), held);
                }
                Input::Answered {
                    ticket,
                    request,
                    result,
                }
            }
            Command::RenewLease {
                ticket,
                request,
                lease_id,
                token,
                ..
            } => Input::LeaseRenewed {
                ticket,
                request,
                result: fault.around(|| self.vault.renew_lease(&lease_id, token.expose(), now)),
            },
            Command::RenewMade(Made {
                ticket,
                request,
                token,
                ..
            }) => {
                let result = fault.around(|| self.vault.renew_made(token.expose(), now));
                self.promises.renewed_made(token.expose(), result.is_ok());
                Input::LeaseRenewed {
                    ticket,
                    request,
                    result,
                }
            }
            Command::Revoke { token } => self.revoke(&token, fault),
            Command::RevokeLease { lease_id, token } => {
                let revoke = || self.vault.revoke_lease(&lease_id, token.expose(), now);
                let result = fault.around(revoke);
                Input::LeaseRevoked { lease_id, result }
            }
            command => self.answer_locally(command, fault),
        }
    }

    fn log_in(&mut self, ticket: Ticket, fault: Fault) -> Input {
        self.promises.logins_in_flight = self.promises.logins_in_flight.saturating_sub(1);
        let now = self.now.moment;
        if self.kind.wraps {
            let result = fault.around(|| Ok(Text::from("{}")));
            return Input::LoggedInWrapped { ticket, result };
        }
        let result = fault.around(|| Ok(self.vault.log_in(&mut self.chance, now)));
        Input::LoggedIn { ticket, result }
    }

    /// A ledger that cannot be written is asked all the same.
    fn remember(&mut self, token: &Token, accessor: String) -> Input {
        self.promises.remember(token.secret.expose());
        let result = match self.chance.once_in(20) {
            true => {
                self.unwritten.push(token.secret.expose().to_owned());
                Err(full())
            }
            false => {
                self.ledger.push(LeftToken {
                    secret: token.secret.clone(),
                    accessor,
                    namespace: token.namespace.clone(),
                    lasts: None,
                    is_written: true,
                });
                Ok(())
            }
        };
        Input::Remembered {
            token: token.id,
            result,
        }
    }

    fn revoke(&mut self, token: &Token, fault: Fault) -> Input {
        let known = self.vault.check(token.secret.expose(), self.now.moment);
        let result = fault.before(known);
        if result.is_ok() {
            self.vault.revoke(token.secret.expose());
        }
        Input::Revoked {
            token: token.id,
            result,
        }
    }

    fn answer_locally(&mut self, command: Command, fault: Fault) -> Input {
        let broken = matches!(fault, Fault::Lost | Fault::Refused(_));
        match command {
            Command::ReadFile { request, .. } => {
                let text = self.chance.pick(&["a", "b"]);
                Input::FileRead {
                    request,
                    result: match broken {
                        true => Err(full()),
                        false => Ok(Answer::File(Text::from(text))),
                    },
                }
            }
            Command::CheckFile { template } => Input::FileChecked {
                template,
                is_intact: !broken,
            },
            Command::Render {
                template,
                rendering,
            } => Input::Rendered {
                template,
                result: rendering.run(),
            },
            Command::RunHook { hook, .. } => {
                self.promises.hook_runs = false;
                Input::HookEnded {
                    hook,
                    result: match broken {
                        true => Err("exit code 1".to_owned()),
                        false => Ok(()),
                    },
                }
            }
            Command::Write {
                destination,
                contents,
                ..
            } => {
                let broken = broken || self.kind.has_full_disk && self.chance.below(8) > 0;
                if let Destination::Template(template) = destination
                    && !broken
                {
                    let lease = String::from_utf8_lossy(&contents).into_owned();
                    self.promises.wrote(template, lease);
                }
                Input::Written {
                    destination,
                    result: match broken {
                        true => Err(full()),
                        false => Ok(self.chance.below(3) > 0),
                    },
                }
            }
            other => panic!("{other:?} has no answer"),
        }
    }

    fn read(&mut self, call: &Call, token: &str) -> Result<Answer, Failure> {
        let body = match call {
            Call::List { .. } => return Ok(Answer::List(vec!["a".to_owned()])),
            Call::Get { path, .. } | Call::Put { path, .. } if path.starts_with("kv/") => {
                self.vault.check(token, self.now.moment)?;
                format!(r#"{{"data":{{"password":"{PASSWORD}"}}}}"#)
            }
            Call::Put { path, .. } if path.starts_with("auth/token/") => {
                let now = self.now.moment;
                self.vault.make(path, token, &mut self.chance, now)?
            }
            Call::Get { .. } | Call::Put { .. } => {
                let (id, ttl) = self.vault.lease(token, &mut self.chance, self.now.moment)?;
                let renewable = self.chance.below(4) > 0;
                format!(
                    r#"{{"lease_id":"{id}","lease_duration":{ttl},"renewable":{renewable},"data":{{}}}}"#
                )
            }
        };
        Ok(Answer::Secret(Some(
            Secret::from_json(body.as_bytes()).unwrap(),
        )))
    }
}

fn full() -> Failure {
    Failure::File {
        path: "/0".to_owned(),
        message: "No space left on device".to_owned(),
    }
}

/// The mount that serves a path.
fn mount(path: &str) -> Mount {
    match path.split('/').next() {
        Some("kv") => Mount::new("kv/", "kv", "1"),
        Some("auth") => Mount::new("auth/token/", "token", ""),
        _ => Mount::new("database/", "database", ""),
    }
}
