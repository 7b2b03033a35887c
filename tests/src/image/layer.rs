//! The files of an image.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

/// A tar archive in the making. Folders appear by themselves, dates are those of 1970: the same
/// files give the same bytes.
pub struct Layer {
    tar: Builder<Vec<u8>>,
    folders: BTreeSet<PathBuf>,
}

impl Layer {
    /// No files.
    #[expect(
        clippy::new_without_default,
        reason = "an image of nothing is no useful default"
    )]
    pub fn new() -> Self {
        Self {
            tar: Builder::new(Vec::new()),
            folders: BTreeSet::new(),
        }
    }

    /// Adds a file with this content at an absolute path.
    pub fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.add_parents(path)?;
        let mut header = header(EntryType::Regular, mode);
        header.set_size(content.len().try_into()?);
        self.tar
            .append_data(&mut header, relative(path), content)
            .with_context(|| format!("add {path}"))
    }

    /// Adds a program of this machine.
    pub fn add_program(&mut self, path: &str, source: &Path) -> Result<()> {
        let content = fs::read(source).with_context(|| format!("read {}", source.display()))?;
        self.add(path, 0o755, &content)
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.add_parents(path)?;
        let mut header = header(EntryType::Symlink, 0o777);
        header.set_size(0);
        self.tar
            .append_link(&mut header, relative(path), target)
            .with_context(|| format!("add {path}"))
    }

    /// Adds an empty folder.
    pub fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        self.add_parents(path)?;
        if !self.folders.insert(PathBuf::from(relative(path))) {
            return Ok(());
        }
        let mut header = header(EntryType::Directory, mode);
        header.set_size(0);
        self.tar
            .append_data(&mut header, format!("{}/", relative(path)), &[][..])
            .with_context(|| format!("add {path}"))
    }

    /// The archive's bytes.
    pub fn finish(self) -> Result<Vec<u8>> {
        Ok(self.tar.into_inner()?)
    }

    fn add_parents(&mut self, path: &str) -> Result<()> {
        match path.rsplit_once('/') {
            None | Some(("", _)) => Ok(()),
            Some((parent, _)) if self.folders.contains(Path::new(relative(parent))) => Ok(()),
            Some((parent, _)) => self.folder(parent, 0o755),
        }
    }
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
