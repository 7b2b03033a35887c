//! From what a template asks for to what Vault is asked.

use planescape_templates::Request;
use planescape_vault::mount::{self, Mount};
use planescape_vault::{Call, SecretText};

/// `None` for what Vault is not asked for.
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
                parameters: parameters
                    .iter()
                    .map(|(key, value)| (key.clone(), SecretText::new(value.clone())))
                    .collect(),
                wrapped,
            })
        }
        Request::File { .. } | Request::Pki { .. } => None,
    }
}
