//! Writes the token into a sink, wrapped and sealed if that is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use planescape_agent_contract as contract;
use planescape_agent_core::Failure;
use planescape_vault::{SecretText, Text};
use tokio::sync::Semaphore;

use super::vault::Vault;
use super::{file_failure, on_the_blocking_pool};
use crate::files::{self, Target};
use crate::seal::Seal;

/// A file for the token.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    pub(super) target: Target,
    wrap_ttl: Option<Duration>,
    seal: Option<Seal>,
}

impl Sink {
    pub(super) fn new(sink: &contract::Sink) -> Self {
        Self {
            target: Target {
                path: sink.path.clone().into(),
                // As with `vault agent`: a umask that shuts a group out is meant for the token, too.
                mode: Some(files::within_umask(sink.mode)),
                create_parents: false,
                owner: sink.owner.clone(),
                backup: false,
            },
            wrap_ttl: sink.wrap_ttl,
            seal: sink.encryption.as_ref().map(Seal::new),
        }
    }

    pub(super) async fn write(
        self,
        contents: Text,
        vault: &Vault,
        shared: Arc<Vec<PathBuf>>,
        slots: &Semaphore,
    ) -> Result<bool, Failure> {
        let contents = match self.wrap_ttl {
            None => contents,
            Some(ttl) => wrap(contents, ttl, vault).await?,
        };
        let Self { target, seal, .. } = self;
        on_the_blocking_pool(slots, move || {
            let path = target.path.display().to_string();
            let contents = match seal {
                None => contents,
                Some(seal) => match seal.seal(&contents) {
                    Ok(sealed) => Text::from(sealed.as_slice()),
                    Err(error) => {
                        let message = format!("{error:#}");
                        return Err(Failure::File { path, message });
                    }
                },
            };
            let written = files::write(&target, &shared, &contents);
            written.map_err(|error| file_failure(&path, &error))
        })
        .await
    }
}

async fn wrap(token: Text, ttl: Duration, vault: &Vault) -> Result<Text, Failure> {
    let token = SecretText::new(String::from_utf8_lossy(&token).into_owned());
    let wrapped = vault.client.wrap(vault.bearer(&token), ttl).await?;
    Ok(Text::from(wrapped.0.as_slice()))
}
