//! Container images made by hand, under the very names that manifests use.
//!
//! No registry is needed, and none is asked: each image is a Docker archive with one layer,
//! made of programs that are on this machine anyway.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use sha2::{Digest, Sha256};

mod layer;
mod public;

pub use layer::Layer;
pub use public::all as all_public;
pub(crate) use public::{PAUSE, shell};

/// An image: a name, files, and what runs by default.
#[derive(Debug)]
pub struct Image {
    name: String,
    layer: Vec<u8>,
    entrypoint: Vec<String>,
    command: Vec<String>,
}

impl Image {
    /// An image of these files. A name without a registry means what Docker takes it to mean:
    /// `busybox:1.35` is `docker.io/library/busybox:1.35`.
    pub fn new(name: &str, layer: Layer) -> Result<Self> {
        Ok(Self {
            name: normalise(name),
            layer: layer.finish()?,
            entrypoint: Vec::new(),
            command: Vec::new(),
        })
    }

    /// An image with nothing but one static program, in the root folder.
    pub fn of_program(name: &str, program: &std::path::Path) -> Result<Self> {
        let mut layer = Layer::new();
        let file = program.file_name().unwrap_or_default().to_string_lossy();
        layer.add_program(&format!("/{file}"), program)?;
        Ok(Self::new(name, layer)?.with_entrypoint(&[&format!("/{file}")]))
    }

    /// Sets the program that every container starts.
    #[must_use]
    pub fn with_entrypoint(mut self, entrypoint: &[&str]) -> Self {
        self.entrypoint = entrypoint.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Sets what a container starts, or its arguments, unless it says otherwise.
    #[must_use]
    pub fn with_command(mut self, command: &[&str]) -> Self {
        self.command = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Its full name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes it as a Docker archive into a temporary file, which is the caller's to remove.
    pub fn archive(&self) -> Result<PathBuf> {
        let config = serde_json::to_vec(&json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                // Images of the same files still differ: their names stay apart in a pod's status.
                "Labels": {"name": self.name},
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hash(&self.layer))]},
        }))?;
        let config_file = format!("{}.json", hash(&config));
        let manifest = serde_json::to_vec(&json!([{
            "Config": config_file,
            "RepoTags": [self.name],
            "Layers": ["layer.tar"],
        }]))?;
        let mut archive = Layer::new();
        archive.add("/layer.tar", 0o644, &self.layer)?;
        archive.add(&format!("/{config_file}"), 0o644, &config)?;
        archive.add("/manifest.json", 0o644, &manifest)?;
        let mut file = tempfile::Builder::new()
            .prefix("planescape-image")
            .tempfile()?;
        file.write_all(&archive.finish()?)?;
        Ok(file.into_temp_path().keep()?)
    }
}

fn normalise(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if first.contains(['.', ':']) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_docker_takes_them_to_mean() {
        for (given, full) in [
            ("busybox:1.35", "docker.io/library/busybox:1.35"),
            ("migrate/migrate:v4", "docker.io/migrate/migrate:v4"),
            ("registry.k8s.io/pause:3.8", "registry.k8s.io/pause:3.8"),
            ("localhost:5000/x:1", "localhost:5000/x:1"),
        ] {
            assert_eq!(normalise(given), full);
        }
    }
}
