//! Builds the servers and our own programs, with one line a step.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::statvfs::statvfs;

use crate::programs::Program;
use crate::progress::{Log, Steps};
use crate::servers::{self, Unbuilt};

/// What building the servers needs of the disk, Go's caches included.
const DISK: u64 = 10 << 30;
/// What linking the largest server needs.
const MEMORY: u64 = 3 << 30;

/// Builds what is not there yet.
pub fn prepare(programs: &[Program]) -> Result<()> {
    let unbuilt = servers::unbuilt()?;
    if !unbuilt.is_empty() {
        require_room()?;
    }
    let lengths: Vec<Duration> = unbuilt
        .iter()
        .map(Unbuilt::usual)
        .chain(programs.iter().map(|program| program.usual()))
        .collect();
    let log = Log::create(&servers::cache_folder()?.join("build.log"))?;
    let mut steps = Steps::new(&lengths, log);
    for server in unbuilt {
        steps.run(&server.to_string(), server.usual(), |log| server.build(log))?;
    }
    for program in programs {
        let what = format!("build {} for its image", program.binary());
        steps.run(&what, program.usual(), |log| program.build_into(log))?;
    }
    Ok(())
}

/// Fails before minutes of work that could not end well.
fn require_room() -> Result<()> {
    let folder = servers::cache_folder()?;
    std::fs::create_dir_all(&folder)?;
    let disk = free_disk(&folder)?;
    ensure!(
        disk >= DISK,
        "{} has {} GiB free and the servers need {}: free some, or set PLANESCAPE_CACHE to a folder on a larger disk",
        folder.display(),
        disk >> 30,
        DISK >> 30
    );
    let memory = free_memory();
    ensure!(
        memory.is_none_or(|memory| memory >= MEMORY),
        "{} GiB of memory are free and building the servers needs {}: end something, or add swap",
        memory.unwrap_or(0) >> 30,
        MEMORY >> 30
    );
    Ok(())
}

fn free_disk(folder: &Path) -> Result<u64> {
    let stat = statvfs(folder)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    Some((kilobytes("MemAvailable:")? + kilobytes("SwapFree:")?) << 10)
}
