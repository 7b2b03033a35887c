//! Turns the request of a template into a request to Vault.

use std::collections::BTreeMap;

use planescape_templates::Request;
use planescape_vault::mount::{self, Mount};
use planescape_vault::{Call, SecretText};

/// `None` for a request that does not go to Vault.
pub(super) fn call(
    request: &Request,
    found: Option<&Mount>,
    namespace: Option<&str>,
) -> Option<Call> {
    match request {
        Request::Read { path } => {
            let (path, query) = mount::read_path(path, found, namespace);
            Some(Call::Get { path, query })
        }
        Request::List { path } => Some(Call::List {
            path: mount::list_path(path, found),
        }),
        Request::Write { path, parameters } => {
            let (path, wrapped) = mount::write_path(path, found, namespace);
            Some(Call::Put {
                path,
                parameters: secret_texts(parameters),
                wrapped,
            })
        }
        Request::Pki {
            path, parameters, ..
        } => Some(Call::Put {
            path: path.clone(),
            parameters: secret_texts(parameters),
            wrapped: false,
        }),
        Request::File { .. } => None,
    }
}

fn secret_texts(parameters: &BTreeMap<String, String>) -> Vec<(String, SecretText)> {
    let parameters = parameters.iter();
    parameters
        .map(|(key, value)| (key.clone(), SecretText::new(value.clone())))
        .collect()
}
