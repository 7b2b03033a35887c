//! Builds the servers and our own programs, with one line a step.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::statvfs::statvfs;

use crate::programs::Program;
use crate::progress::{Log, Steps};
use crate::servers::{self, Unbuilt};

/// The disk space that building the servers needs, Go's caches included.
const DISK: u64 = 10 << 30;
/// The memory that linking the largest server needs.
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
    room(&folder, free_disk(&folder)?, free_memory())
}

/// `disk` and `memory` in bytes.
fn room(folder: &Path, disk: u64, memory: Option<u64>) -> Result<()> {
    ensure!(
        disk >= DISK,
        "{} has {} GiB free and the servers need {}: free some, or set PLANESCAPE_CACHE to a folder on a larger disk",
        folder.display(),
        disk >> 30,
        DISK >> 30
    );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_room_is_told_what_to_do() {
        let said = |disk: u64, memory: Option<u64>| {
            let room = room(Path::new("/cache"), disk << 30, memory.map(|it| it << 30));
            room.err().map(|error| error.to_string())
        };

        assert_eq!(said(10, Some(3)), None);
        assert_eq!(said(10, None), None, "nobody knows");
        let disk = said(9, Some(3)).unwrap();
        assert!(disk.starts_with("/cache has 9 GiB free and the servers need 10: free some"));
        let memory = said(10, Some(2)).unwrap();
        assert!(memory.starts_with("2 GiB of memory are free"), "{memory}");
    }
}
