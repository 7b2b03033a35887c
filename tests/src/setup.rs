//! The testbed's needs of a machine, checked all at once, and how to get what is missing.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::{postgres, progress, servers};

/// The use that the machine is wanted for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Purpose {
    /// Vault, Postgres and the control plane.
    Servers,
    /// These, and a node with images.
    Pods,
}

/// Something that is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    what: String,
    remedy: Remedy,
}

#[derive(Clone, Debug, PartialEq)]
enum Remedy {
    /// Debian and Ubuntu have it in this package.
    Package(&'static str),
    /// `rustup` brings this target.
    Target(&'static str),
    /// Somebody has to do this.
    Hand(&'static str),
}

/// Programs for [`Purpose::Servers`], and their packages.
const SERVERS: [(&str, &str); 3] = [
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("openssl", "openssl"),
];

/// Programs that [`Purpose::Pods`] needs besides, and their packages.
const PODS: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("busybox", "busybox-static"),
    ("musl-gcc", "musl-tools"),
    ("gcc", "gcc"),
];

const MUSL: &str = "x86_64-unknown-linux-musl";

/// All that is missing for `purpose`.
pub fn missing(purpose: Purpose) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut check = |is_there: bool, what: &str, remedy: Remedy| {
        if !is_there {
            missing.push(Missing {
                what: what.to_owned(),
                remedy,
            });
        }
    };
    check(
        nix::unistd::geteuid().is_root(),
        "root: servers get namespaces of their own",
        Remedy::Hand("run as root: sudo, or su"),
    );
    check(
        cfg!(target_arch = "x86_64"),
        "an x86-64 processor",
        Remedy::Hand("other processors are not supported yet"),
    );
    check(
        can_build_servers(),
        "Go 1.25.3 or newer, to build the servers",
        Remedy::Hand("install it from https://go.dev/dl into /usr/local/go"),
    );
    for (program, package) in SERVERS {
        check(is_on_path(program), program, Remedy::Package(package));
    }
    check(
        postgres::programs().is_ok(),
        "the PostgreSQL server",
        Remedy::Package("postgresql"),
    );
    if purpose == Purpose::Pods {
        for (program, package) in PODS {
            check(is_on_path(program), program, Remedy::Package(package));
        }
        check(
            Path::new("/usr/lib/cni/ptp").exists(),
            "/usr/lib/cni/ptp",
            Remedy::Package("containernetworking-plugins"),
        );
        check(
            has_cgroups(),
            "cgroups with the memory and pids controllers, at /sys/fs/cgroup",
            Remedy::Hand("run on a machine or VM, or in a privileged container"),
        );
        check(
            has_musl_target(),
            "the Rust target of our static programs",
            Remedy::Target(MUSL),
        );
    }
    missing
}

/// Fails with everything that is missing for `purpose`.
pub fn require(purpose: Purpose) -> Result<()> {
    let missing = missing(purpose);
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = missing.iter().map(|one| format!("  {one}")).collect();
    bail!("this machine lacks:\n{}", lines.join("\n"));
}

/// Installs what packages and `rustup` bring of what is missing for `purpose`, and checks again.
pub fn install(purpose: Purpose) -> Result<()> {
    let mut packages = Vec::new();
    for missing in missing(purpose) {
        match missing.remedy {
            Remedy::Package(package) => packages.push(package),
            Remedy::Target(target) => {
                progress::step(&format!("install {target}"), || add_target(target))?;
            }
            Remedy::Hand(_) => {}
        }
    }
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        let what = format!("install {}", packages.join(" "));
        progress::step(&what, || install_packages(&packages))?;
    }
    require(purpose)
}

fn install_packages(packages: &[&str]) -> Result<()> {
    let _no_services = NoServices::begin()?;
    apt_get(&["update", "--quiet=2"])?;
    let options = ["install", "--yes", "--quiet=2", "--no-install-recommends"];
    apt_get(&[&options, packages].concat())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("run apt-get; this is no Debian or Ubuntu")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "apt-get {arguments:?}: {errors}");
    Ok(())
}

fn add_target(target: &str) -> Result<()> {
    let output = Command::new("rustup")
        .args(["target", "add", target])
        .stdin(Stdio::null())
        .output()
        .context("run rustup; install the target as you installed Rust")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "rustup target add {target}: {errors}"
    );
    Ok(())
}

/// Keeps Debian from starting the packages' own servers as it installs them.
struct NoServices;

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Result<Option<Self>> {
        if Path::new(POLICY).exists() {
            return Ok(None);
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("write {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(Some(Self))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        let _ = fs::remove_file(POLICY);
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn can_build_servers() -> bool {
    let are_built = servers::ALL
        .iter()
        .all(|module| module.is_built().is_ok_and(|is_built| is_built));
    are_built || go_version().is_some_and(|version| version >= (1, 25, 3))
}

fn go_version() -> Option<(u32, u32, u32)> {
    let output = Command::new(servers::go_command()).arg("version").output();
    parse_go_version(&String::from_utf8(output.ok()?.stdout).ok()?)
}

fn parse_go_version(text: &str) -> Option<(u32, u32, u32)> {
    let version = text.split_whitespace().nth(2)?.strip_prefix("go")?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    let mut next = || numbers.next().unwrap_or(Some(0));
    Some((next()?, next()?, next()?))
}

fn has_cgroups() -> bool {
    let root = Path::new("/sys/fs/cgroup");
    match fs::read_to_string(root.join("cgroup.controllers")) {
        Ok(controllers) => controllers.contains("memory") && controllers.contains("pids"),
        Err(_) => root.join("memory").exists() && root.join("pids").exists(),
    }
}

fn has_musl_target() -> bool {
    let output = Command::new("rustc")
        .args(["--print=target-libdir", "--target", MUSL])
        .output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && Path::new(&folder).exists()
    })
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.what)?;
        match self.remedy {
            Remedy::Package(package) => write!(formatter, "apt-get install {package} (or --yes)"),
            Remedy::Target(target) => write!(formatter, "rustup target add {target} (or --yes)"),
            Remedy::Hand(remedy) => write!(formatter, "{remedy}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_says_its_version_in_the_third_word() {
        let parse = |version: &str| parse_go_version(&format!("go version {version} linux/amd64"));
        assert_eq!(parse("go1.26.8"), Some((1, 26, 8)));
        assert_eq!(parse("go1.26"), Some((1, 26, 0)));
        assert_eq!(parse("devel"), None);
    }

    #[test]
    fn what_is_missing_says_how_to_get_it() {
        let missing = Missing {
            what: "runc".to_owned(),
            remedy: Remedy::Package("runc"),
        };
        assert_eq!(missing.to_string(), "runc: apt-get install runc (or --yes)");
    }
}
