//! The authorities that the system trusts, in the places where programs in Go look for them.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::bail;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::content;

/// The first of these that can be read.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// And all files of these: an authority that is put there needs no new bundle.
const FOLDERS: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// The places to look in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct System {
    bundles: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl System {
    /// The places that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or the known places.
    pub(super) fn from_environment() -> Self {
        Self::of(
            std::env::var_os("SSL_CERT_FILE"),
            std::env::var_os("SSL_CERT_DIR"),
        )
    }

    /// An empty variable counts as unset.
    fn of(bundle: Option<OsString>, folders: Option<OsString>) -> Self {
        let known = |places: &[&str]| places.iter().map(PathBuf::from).collect();
        let said = |variable: Option<OsString>| variable.filter(|it| !it.is_empty());
        Self {
            bundles: said(bundle).map_or_else(|| known(&BUNDLES), |it| vec![it.into()]),
            folders: said(folders).map_or_else(
                || known(&FOLDERS),
                |it| std::env::split_paths(&it).collect(),
            ),
        }
    }

    /// Leaves odd certificates out, and places that cannot be read while another one can.
    pub(super) fn authorities(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let mut known = HashSet::new();
        let mut add = |pem: &[u8]| {
            let found = CertificateDer::pem_slice_iter(pem).flatten();
            let new = found.filter(|certificate| known.insert(certificate.clone()));
            roots.add_parsable_certificates(new);
        };
        let mut failures = Vec::new();
        let mut read = None;
        for bundle in &self.bundles {
            match content(bundle) {
                Ok(pem) => {
                    add(&pem);
                    read = Some(bundle);
                    break;
                }
                Err(error) => failures.extend(told(bundle, &error)),
            }
        }
        for folder in &self.folders {
            match files(folder) {
                Ok(files) => files
                    .iter()
                    .filter(|file| Some(*file) != read)
                    .filter_map(|file| content(file).ok())
                    .for_each(|pem| add(&pem)),
                Err(error) => failures.extend(told(folder, &error)),
            }
        }
        if !roots.is_empty() {
            return Ok(roots);
        }
        match failures.first() {
            Some(failure) => bail!("{failure}"),
            None => bail!(
                "vault.ca_cert: this system has no certificate authorities of its own: name the file that holds Vault's (in a pod, the annotations tls-secret and ca-cert)"
            ),
        }
    }
}

/// A known place that does not exist is not told.
fn told(place: &Path, error: &io::Error) -> Option<String> {
    let place_is_known = BUNDLES
        .iter()
        .chain(&FOLDERS)
        .any(|known| place == Path::new(known));
    let is_told = !place_is_known || error.kind() != io::ErrorKind::NotFound;
    is_told.then(|| format!("{}: {error}", place.display()))
}

/// A link to a file beside it is a second name, as `c_rehash` makes them.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let is_second_name =
        |path: &PathBuf| fs::read_link(path).is_ok_and(|target| target.components().count() == 1);
    Ok(entries.filter(|path| !is_second_name(path)).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_first_bundle_and_all_folders_count_each_certificate_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let certificate = || {
            let made = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
            made.cert.pem()
        };
        let (one, two, three) = (certificate(), certificate(), certificate());
        fs::create_dir(path("more")).unwrap();
        fs::write(path("bundle"), [one.as_str(), &two].concat()).unwrap();
        fs::write(path("second"), certificate()).unwrap();
        fs::write(path("more/two.pem"), two).unwrap();
        fs::write(path("more/three.pem"), three).unwrap();
        fs::write(path("more/readme"), "none").unwrap();
        symlink("three.pem", path("more/0a1b2c3d.0")).unwrap();
        let system = System {
            bundles: vec![path("missing"), path("bundle"), path("second")],
            folders: vec![path("none"), path("more")],
        };

        assert_eq!(system.authorities().unwrap().len(), 3);
    }

    #[test]
    fn a_variable_that_is_set_to_nothing_names_no_file() {
        let nothing = || Some(OsString::new());

        assert_eq!(System::of(nothing(), nothing()), System::of(None, None));
        let said = System::of(Some("/a".into()), Some("/b:/c".into()));
        assert_eq!(said.bundles, [Path::new("/a")]);
        assert_eq!(said.folders, [Path::new("/b"), Path::new("/c")]);
    }

    #[test]
    fn a_place_that_was_named_and_is_not_there_is_told() {
        let system = System::of(Some("/no/such/file".into()), Some("/no/such/folder".into()));

        let error = system.authorities().unwrap_err().to_string();

        assert!(error.starts_with("/no/such/file: No such file"), "{error}");
    }
}
