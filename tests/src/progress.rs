//! One line for each step: what it is, how long it took, and what is left.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Says `what` on standard error, does it, and says how long it took if that was noticeable.
pub fn step<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    eprint!("{what} …");
    let result = work();
    let took = started.elapsed();
    if took.as_secs() >= 1 {
        eprint!(" {:.1} s", took.as_secs_f32());
    }
    eprintln!();
    result
}

/// Work that takes minutes, in steps whose usual length is known.
#[derive(Debug)]
pub struct Steps {
    log: Log,
    number: usize,
    count: usize,
    /// The time left, as a machine with two cores takes it.
    left: Duration,
    /// How much slower or quicker this machine is, from what is done.
    usual: Duration,
    taken: Duration,
}

impl Steps {
    /// For steps of these usual lengths, on two cores; what they print goes to the log.
    pub fn new(lengths: &[Duration], log: Log) -> Self {
        Self {
            log,
            number: 0,
            count: lengths.len(),
            left: lengths.iter().sum(),
            usual: Duration::ZERO,
            taken: Duration::ZERO,
        }
    }

    /// Does one step, and names the log where it fails.
    pub fn run<T>(
        &mut self,
        what: &str,
        usual: Duration,
        work: impl FnOnce(&Log) -> Result<T>,
    ) -> Result<T> {
        self.number += 1;
        let (number, count) = (self.number, self.count);
        let left = about(self.left.mul_f64(self.pace()));
        let started = Instant::now();
        let result = step(
            &format!("[{number} of {count}, {left} left] {what}"),
            || work(&self.log),
        );
        self.left = self.left.saturating_sub(usual);
        self.usual += usual;
        self.taken += started.elapsed();
        result.with_context(|| format!("{what} failed; {}", self.log.ending()))
    }

    fn pace(&self) -> f64 {
        if self.usual < Duration::from_secs(20) {
            return 1.0;
        }
        // A step that was done before takes no time and says nothing about the rest.
        (self.taken.as_secs_f64() / self.usual.as_secs_f64()).clamp(0.7, 10.0)
    }
}

/// Rounded as a person would say it.
fn about(left: Duration) -> String {
    match left.as_secs() {
        0..60 => "less than a minute".to_owned(),
        60..100 => "about a minute".to_owned(),
        seconds => format!("about {} minutes", (seconds + 30) / 60),
    }
}

/// The file that takes what compilers and downloads print.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Starts it anew.
    pub fn create(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = File::options();
        let options = options.create(true).write(true).read(true).truncate(true);
        let file = options.open(path);
        Ok(Self {
            file: file.with_context(|| format!("create {}", path.display()))?,
            path: path.to_owned(),
        })
    }

    /// Another handle on it, for a process to write to.
    pub fn handle(&self) -> Result<File> {
        Ok(self.file.try_clone()?)
    }

    /// Notes a line, so that a reader sees what belongs to what.
    pub fn note(&self, line: &str) {
        let _ = writeln!(&self.file, "── {line}");
    }

    /// The path of the log, and its last lines.
    fn ending(&self) -> String {
        let mut text = String::new();
        let mut file = &self.file;
        let _ = file.seek(SeekFrom::Start(0));
        let _ = file.read_to_string(&mut text);
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        format!(
            "its output is in {}:\n  {}",
            self.path.display(),
            last.join("\n  ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said_as_a_person_would() {
        let said = [10, 70, 130, 600].map(|seconds| about(Duration::from_secs(seconds)));

        assert_eq!(
            said,
            [
                "less than a minute",
                "about a minute",
                "about 2 minutes",
                "about 10 minutes"
            ]
        );
    }

    #[test]
    fn a_slower_machine_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(&folder.path().join("log")).unwrap();
        let mut steps = Steps::new(&[Duration::from_secs(60); 3], log);

        assert!((steps.pace() - 1.0).abs() < 0.01);
        steps.usual = Duration::from_secs(60);
        steps.taken = Duration::from_secs(120);
        assert!((steps.pace() - 2.0).abs() < 0.01);
    }

    #[test]
    fn a_failed_step_names_the_log_and_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut steps = Steps::new(&[Duration::ZERO], Log::create(&path).unwrap());

        let error = steps.run("build it", Duration::ZERO, |log| {
            writeln!(log.handle()?, "no space left")?;
            anyhow::bail!("go build: exit status 1") as Result<()>
        });

        let text = format!("{:#}", error.unwrap_err());
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(text.contains("no space left"), "{text}");
    }
}
