//! A running agent, and what the kernel says of it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A program, and the words before its flags.
pub(crate) type Side<'a> = (&'a Path, &'a [&'a str]);

pub(crate) struct Agent {
    child: Child,
}

impl Agent {
    pub(crate) fn start((program, words): Side<'_>, config: &Path, home: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(words)
            .arg(format!("-config={}", config.display()));
        Self::of(&mut command, home)
    }

    /// Starts it through another program that becomes it.
    pub(crate) fn of(command: &mut Command, home: &Path) -> Result<Self> {
        let child = command
            .env_clear()
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child })
    }

    /// Its processor time, in steps of ten milliseconds; threads that have ended count.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("stat")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The same to the nanosecond, of the threads that are there.
    pub(crate) fn time_of_threads(&self) -> Result<Duration> {
        let mut time = Duration::ZERO;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let spent = fs::read_to_string(thread?.path().join("schedstat"))?;
            let spent = spent.split(' ').next().context("schedstat")?.parse()?;
            time += Duration::from_nanos(spent);
        }
        Ok(time)
    }

    /// Its resident memory, in MiB.
    pub(crate) fn resident(&self) -> Result<f64> {
        self.memory("VmRSS:")
    }

    /// The most that it ever held, in MiB.
    pub(crate) fn peak(&self) -> Result<f64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.context("status")?.trim().trim_end_matches(" kB");
        Ok(kib.parse::<f64>()? / 1024.0)
    }

    /// Tells it to end, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> Result<Duration> {
        let told = Instant::now();
        kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGTERM)?;
        while self.child.try_wait()?.is_none() {
            ensure!(
                told.elapsed() < Duration::from_secs(60),
                "it goes on after a minute"
            );
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        Ok(told.elapsed())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for at most a minute.
pub(crate) async fn until(is_so: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_so() {
        ensure!(
            begun.elapsed() < Duration::from_secs(60),
            "not so after a minute"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
