//! A machine within the machine: the node's own processes, mounts, host name and network.
//!
//! Everything a node leaves about (bridges, firewall rules, mounts, shims, pods) belongs to the
//! namespaces of one process and vanishes with it. A virtual cable joins the two machines: our
//! end of it is where the servers listen that pods talk to.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::control_plane::SERVICE_RANGE;
use crate::process::{Place, Server};
use crate::run_folder::RunFolder;

/// Prepares the mounts, says so by making the file `ready`, then reaps orphans for ever.
///
/// Programs keep their state where they always do, in folders of the run. The kubelet finds the
/// kernel's settings as it wants them, so it changes none.
const FIRST_PROCESS: &str = r#"
set -e
cd "$1"
hostname node
mount --make-rshared /
for folder in run var/lib var/log; do
  mkdir -p "$folder"
  mount --bind "$folder" "/$folder"
done
mkdir settings
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  [ -e "/proc/sys/${setting%=*}" ] || continue
  file="settings/$(basename "${setting%=*}")"
  echo "${setting#*=}" >"$file"
  mount --bind "$file" "/proc/sys/${setting%=*}"
done
echo 1 >/proc/sys/net/ipv4/ip_forward
touch ready
while :; do sleep 100000 & wait; done
"#;

/// How many machines can be up at once.
const SLOTS: u8 = 16;

/// A running machine with nothing on it yet.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
    slot: u8,
    first: Server,
    /// Goes last: the next machine with these addresses comes after this one.
    _claim: File,
}

impl Machine {
    /// Starts one and connects it with this machine.
    pub fn start(run: &RunFolder) -> Result<Self> {
        let (slot, claim) = claim_slot()?;
        let folder = run.subfolder("node")?;
        let mut command = Command::new("sh");
        command.args(["-c", FIRST_PROCESS, "node"]).arg(&folder);
        let first = Server::start_at(Place::NewMachine, "machine", &command, run.path())?;
        let mut machine = Self {
            folder,
            slot,
            first,
            _claim: claim,
        };
        machine.until_ready()?;
        machine.connect()?;
        Ok(machine)
    }

    /// This machine's end of the cable: what pods reach it by.
    pub fn host_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.slot * 16, 1)
    }

    /// The node's end of the cable.
    pub fn node_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.slot * 16, 2)
    }

    /// The range that pods get their addresses from.
    pub fn pod_range(&self) -> String {
        format!("10.244.{}.0/24", self.slot * 16 + 1)
    }

    /// A folder that has the same path inside and outside.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder that is the machine's `/run`.
    pub fn run_folder(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Starts a server inside.
    pub fn start_server(&self, name: &str, command: &Command) -> Result<Server> {
        Server::start_at(self.place()?, name, command, &self.folder)
    }

    /// Whether something accepts connections at an address, seen from inside.
    pub fn reaches(&self, address: &str, port: u16) -> Result<bool> {
        let id = self.first.id().context("the node's machine has ended")?;
        let status = Command::new("nsenter")
            .args(["--target", &id.to_string(), "--net", "--"])
            .args(["busybox", "nc", "-w", "1", address, &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        Ok(status.success())
    }

    /// Drops whatever would pass the cable, within the machine.
    pub fn cut_cable(&self) -> Result<()> {
        self.filter("--insert")
    }

    /// Lets it pass again.
    pub fn mend_cable(&self) -> Result<()> {
        self.filter("--delete")
    }

    fn filter(&self, what: &str) -> Result<()> {
        let id = self.first.id().context("the node's machine has ended")?;
        let inside = format!("nsenter --target {id} --net --mount");
        for rule in [
            "INPUT --in-interface eth0",
            "OUTPUT --out-interface eth0",
            "FORWARD --in-interface eth0",
            "FORWARD --out-interface eth0",
        ] {
            run(&format!("{inside} iptables {what} {rule} --jump DROP"))?;
        }
        Ok(())
    }

    fn place(&self) -> Result<Place> {
        let id = self.first.id().context("the node's machine has ended")?;
        Ok(Place::Machine(id))
    }

    fn until_ready(&mut self) -> Result<()> {
        while !self.folder.join("ready").exists() {
            let words = self.first.last_words();
            ensure!(self.first.is_running(), "the machine ended: {words}");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn connect(&self) -> Result<()> {
        let id = self.first.id().context("the node's machine has ended")?;
        let ours = format!("planescape{}", self.slot);
        let (host, node) = (self.host_address(), self.node_address());
        let pods = self.pod_range();
        // The interface of a killed run goes when the kernel gets round to it.
        let _ = Command::new("ip").args(["link", "delete", &ours]).output();
        ip(&format!(
            "link add {ours} type veth peer name eth0 netns {id}"
        ))?;
        ip(&format!("address add {host}/30 dev {ours}"))?;
        ip(&format!("link set {ours} up"))?;
        let inside = format!("nsenter --target {id} --net --mount");
        for command in [
            "ip link set lo up".to_owned(),
            format!("ip address add {node}/30 dev eth0"),
            "ip link set eth0 up".to_owned(),
            format!("ip route add default via {host}"),
            // A Service that is not set up yet refuses; packets would get lost for minutes.
            format!("iptables --append FORWARD --destination {SERVICE_RANGE} --jump REJECT"),
        ] {
            run(&format!("{inside} {command}"))?;
        }
        ip(&format!("route add {pods} via {node}"))
    }
}

/// Each machine has addresses of its own: the first free sixteenth of 10.244.0.0/16.
fn claim_slot() -> Result<(u8, File)> {
    let folder = std::env::temp_dir().join("planescape-slots");
    fs::create_dir_all(&folder)?;
    loop {
        for slot in 0..SLOTS {
            let path = folder.join(slot.to_string());
            let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
            if file.try_lock().is_ok() {
                return Ok((slot, file));
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn ip(arguments: &str) -> Result<()> {
    run(&format!("ip {arguments}"))
}

fn run(line: &str) -> Result<()> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).output();
    let output = output.with_context(|| format!("run {program}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {errors}");
    Ok(())
}

/// Makes the cgroup under which the kubelet puts its pods, in every hierarchy there is.
pub(crate) fn create_cgroup(name: &str) -> Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = match fs::read_to_string(root.join("cgroup.controllers")) {
        Ok(controllers) => {
            enable(&controllers, root);
            vec![root.to_owned()]
        }
        Err(_) => fs::read_dir(root)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && path.join("cgroup.procs").exists())
            .collect(),
    };
    for hierarchy in hierarchies {
        let path = hierarchy.join(name);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    }
    Ok(())
}

/// Passes controllers on to the cgroups below. The kubelet says precisely which one it lacks.
fn enable(controllers: &str, cgroup: &Path) {
    for controller in controllers.split_whitespace() {
        let _ = fs::write(
            cgroup.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}
