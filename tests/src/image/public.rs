//! Stand-ins for the public images that manifests name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Image, Layer};
use crate::{postgres, servers};

/// The image that holds a pod's namespaces open.
pub(crate) const PAUSE: &str = "registry.k8s.io/pause:3.8";
const PAUSE_SOURCE: &str = "fn main() { loop { std::thread::park() } }";

const USERS: &str = "\
root:x:0:0:root:/root:/bin/sh
postgres:x:70:70::/var/lib/postgresql:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
";
const GROUPS: &str = "root:x:0:\npostgres:x:70:\nnobody:x:65534:\n";

/// All of them.
pub fn all() -> Result<Vec<Image>> {
    Ok(vec![
        pause()?,
        busybox("busybox:1.35")?,
        busybox("alpine:3.18")?,
        psql("postgres:15-alpine")?,
        migrate("migrate/migrate:v4.15.2")?,
    ])
}

fn pause() -> Result<Image> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("pause");
    let source = folder.path().join("pause.rs");
    fs::write(&source, PAUSE_SOURCE)?;
    let output = Command::new("rustc")
        .args(["--edition=2024", "--target=x86_64-unknown-linux-musl"])
        .args(["-Copt-level=z", "-Cpanic=abort", "-Cstrip=symbols", "-o"])
        .args([&program, &source])
        .output()
        .context("run rustc")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "rustc: {errors}");
    Image::of_program(PAUSE, &program)
}

/// A shell and the usual small programs.
fn busybox(name: &str) -> Result<Image> {
    Ok(Image::new(name, busybox_layer()?)?.with_command(&["sh"]))
}

fn busybox_layer() -> Result<Layer> {
    let mut layer = shell()?;
    layer.add("/etc/passwd", 0o644, USERS.as_bytes())?;
    layer.add("/etc/group", 0o644, GROUPS.as_bytes())?;
    layer.folder("/root", 0o700)?;
    layer.folder("/tmp", 0o1777)?;
    layer.folder("/var/lib/postgresql", 0o755)?;
    Ok(layer)
}

/// Debian's static busybox under the names of all that it does.
pub(crate) fn shell() -> Result<Layer> {
    let program = Path::new("/bin/busybox");
    let mut layer = Layer::new();
    layer.add_program("/bin/busybox", program)?;
    let applets = Command::new(program)
        .arg("--list-full")
        .output()
        .context("run busybox")?;
    for applet in String::from_utf8(applets.stdout)?.lines() {
        if applet != "bin/busybox" {
            layer.link(&format!("/{applet}"), "/bin/busybox")?;
        }
    }
    Ok(layer)
}

/// A shell and Debian's `psql` with the libraries it needs.
fn psql(name: &str) -> Result<Image> {
    let program = postgres::programs()?.join("psql");
    let mut layer = busybox_layer()?;
    layer.add_program("/usr/local/bin/psql", &program)?;
    for library in libraries(&program)? {
        layer.add_program(&library.to_string_lossy(), &library)?;
    }
    Ok(Image::new(name, layer)?.with_command(&["sh"]))
}

/// The absolute paths in `ldd`'s answer, the loader's among them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output();
    let output = output.context("run ldd")?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

/// The real `migrate`, beside a shell.
fn migrate(name: &str) -> Result<Image> {
    let program = servers::MIGRATE.build()?.join("migrate");
    let mut layer = busybox_layer()?;
    layer.add_program("/migrate", &program)?;
    layer.link("/usr/local/bin/migrate", "/migrate")?;
    Ok(Image::new(name, layer)?
        .with_entrypoint(&["migrate"])
        .with_command(&["--help"]))
}
