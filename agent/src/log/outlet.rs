//! The places that lines go to, each with a thread of its own: a reader that stalls, or a disk that hangs, does not
//! hold up the writers of lines.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::file::Rotating;

/// How many lines wait for a place; further lines are lost, and counted.
const MOST_WAITING: usize = 1024;
const STACK: usize = 256 << 10;

/// Lines that come one after another within less than this are many lines.
const QUICK: Duration = Duration::from_millis(5);
/// From so many lines on they are gathered for a moment: each would wake the thread, which costs more than a write.
const MANY: u32 = 16;
const MOMENT: Duration = Duration::from_millis(2);

/// A place for lines.
#[derive(Debug)]
pub(super) enum Place {
    StandardOutput,
    StandardError,
    File(Rotating),
}

/// The way to a place.
#[derive(Debug)]
pub(super) struct Outlet {
    lines: SyncSender<Arc<[u8]>>,
    state: Arc<State>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct State {
    waiting: AtomicUsize,
    lost: AtomicUsize,
    is_moved: AtomicBool,
}

impl Outlet {
    pub(super) fn start(place: Place) -> io::Result<Self> {
        let (lines, queue) = sync_channel(MOST_WAITING);
        let state = Arc::new(State::default());
        let known = Arc::clone(&state);
        let started = thread::Builder::new()
            .name("log".to_owned())
            .stack_size(STACK)
            .spawn(move || write_all(place, &queue, &known))?;
        Ok(Self {
            lines,
            state,
            thread: started.thread().clone(),
        })
    }

    /// Never waits.
    pub(super) fn say(&self, line: &Arc<[u8]>) {
        let before = self.state.waiting.fetch_add(1, Ordering::Relaxed);
        if before == MOST_WAITING / 2 {
            // There is not enough room for the lines of a moment.
            self.hurry();
        }
        if self.lines.try_send(Arc::clone(line)).is_err() {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A file is opened anew before the next line.
    pub(super) fn reopen(&self) {
        self.state.is_moved.store(true, Ordering::Relaxed);
        // The empty line wakes the thread, so that the file is opened now.
        self.say(&Arc::from([]));
    }

    /// Gathers no longer.
    pub(super) fn hurry(&self) {
        self.thread.unpark();
    }

    /// Whether every line so far is written.
    pub(super) fn is_idle(&self) -> bool {
        self.state.waiting.load(Ordering::Relaxed) == 0
    }
}

fn write_all(mut place: Place, lines: &Receiver<Arc<[u8]>>, state: &State) {
    let mut fails = false;
    let mut quick = 0_u32;
    loop {
        let asleep = Instant::now();
        let Ok(line) = lines.recv() else {
            return;
        };
        quick = match asleep.elapsed() < QUICK {
            true => quick.saturating_add(1),
            false => 0,
        };
        for line in std::iter::once(line).chain(lines.try_iter()) {
            write_one(&mut place, &line, state, &mut fails);
        }
        if quick >= MANY {
            thread::park_timeout(MOMENT);
        }
    }
}

fn write_one(place: &mut Place, line: &[u8], state: &State, fails: &mut bool) {
    if state.is_moved.swap(false, Ordering::Relaxed)
        && let Place::File(file) = place
        && let Err(error) = file.reopen()
    {
        error!(%error, "cannot open the log file anew");
    }
    let written = place.write(line);
    if let Err(error) = &written
        && !*fails
    {
        // The error is logged once, to the other place too, and not for each line.
        error!(%error, "cannot write the log, or put its file aside");
    }
    *fails = written.is_err();
    let lost = state.lost.swap(0, Ordering::Relaxed);
    if lost > 0 {
        warn!(
            lost,
            "lines of the log are lost: what takes them was too slow"
        );
    }
    state.waiting.fetch_sub(1, Ordering::Relaxed);
}

impl Place {
    /// A reader that went away, or a full disk, must not end the agent.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::StandardOutput => io::stdout().write_all(line),
            Self::StandardError => io::stderr().write_all(line),
            Self::File(file) => file.write(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use planescape_agent_contract::{Keep, LogFile};

    use super::*;

    #[test]
    fn what_is_said_while_a_place_does_not_take_it_is_lost_and_delays_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        // A reader that reads nothing.
        let _reader = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&pipe)
            .unwrap();
        let settings = LogFile {
            path: pipe.display().to_string(),
            rotate_bytes: 0,
            rotate_duration: Duration::from_secs(3600),
            keep: Keep::All,
        };
        let outlet = Outlet::start(Place::File(Rotating::open(&settings).unwrap())).unwrap();
        let line: Arc<[u8]> = Arc::from([b'x'; 4096]);
        let begin = Instant::now();

        for _ in 0..2 * MOST_WAITING {
            outlet.say(&line);
        }

        assert!(begin.elapsed() < Duration::from_secs(1));
        assert!(!outlet.is_idle());
        assert!(outlet.state.lost.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn nothing_is_gathered_any_longer_once_half_of_the_room_is_taken() {
        let (lines, _queue) = sync_channel(MOST_WAITING);
        let outlet = Outlet {
            lines,
            state: Arc::default(),
            thread: thread::current(),
        };
        let line: Arc<[u8]> = Arc::from(*b"x");
        let begin = Instant::now();

        for _ in 0..=MOST_WAITING / 2 {
            outlet.say(&line);
        }
        thread::park_timeout(Duration::from_secs(10));

        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
