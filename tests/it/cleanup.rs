//! Nothing is left of a run, however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use planescape_tests::process::Server;
use planescape_tests::run_folder::RunFolder;

/// Tells the test below that it is the run to be ended.
const VICTIM: &str = "PLANESCAPE_VICTIM";

#[test]
fn a_run_ended_by_any_signal_leaves_no_process_no_folder_and_no_cgroup() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let (mut victim, left) = start_victim();
        assert_eq!(
            left.iter().filter(|path| path.exists()).count(),
            4,
            "{left:?}"
        );
        let id = Pid::from_raw(victim.id().cast_signed());

        signal::kill(id, signal).unwrap();
        victim.wait().unwrap();

        let started = Instant::now();
        while let Some(path) = left.iter().find(|path| is_there(path)) {
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(10), "{signal}: {path:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The run of the test above, in a process of its own. Alone, it has nothing to do.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let run = RunFolder::create().unwrap();
    let cgroup = hierarchy().join(run.name());
    fs::create_dir(&cgroup).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 1000 & wait"]);
    // Started by a thread that ends, as tests do.
    let folder = run.path().to_owned();
    let starter = thread::spawn(move || Server::start("sh", &command, &folder).unwrap());
    let server = starter.join().unwrap();
    let started = Instant::now();
    let processes = loop {
        if let Some(id) = server.id()
            && let Some(child) = child_of(id)
        {
            break [id, child];
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "the server ended"
        );
    };
    // The harness has begun a line.
    println!("\n{}\n{}", run.path().display(), cgroup.display());
    println!("/proc/{}\n/proc/{}", processes[0], processes[1]);
    println!("ready");
    thread::sleep(Duration::from_secs(60));
}

/// The victim, and the paths that exist as long as something of it does.
fn start_victim() -> (Child, Vec<PathBuf>) {
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "--nocapture", "cleanup::victim"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the victim");
    let output = victim.stdout.take().expect("its output");
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let left = lines
        .take_while(|line| line != "ready")
        .filter(|line| line.starts_with('/'))
        .map(PathBuf::from)
        .collect();
    (victim, left)
}

/// A process that has ended but was not yet asked after is not there.
fn is_there(path: &Path) -> bool {
    match fs::read_to_string(path.join("stat")) {
        Ok(stat) => !stat.contains(") Z "),
        Err(_) => path.exists() && !path.starts_with("/proc"),
    }
}

fn child_of(id: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn hierarchy() -> PathBuf {
    let root = Path::new("/sys/fs/cgroup");
    let pids = root.join("pids");
    if pids.exists() { pids } else { root.to_owned() }
}
