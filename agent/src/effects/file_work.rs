//! Works on files, on threads of the blocking pool. While one thread is at work, further files wait for it, because
//! waking another thread takes longer than most files. If a file takes long, other threads are woken one by one, so
//! that a file system that hangs holds up its own files only.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use planescape_agent_core::Input;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::gathering::{Gathering, More};

/// How many threads work on files at most. A file system that hangs holds up these threads alone.
const THREADS: usize = 8;

/// How long the work stands still before another thread is woken: longer than a thread waits for a processor.
const PATIENCE: Duration = Duration::from_millis(5);

type Work = Box<dyn FnOnce() -> Input + Send>;

pub(super) struct FileWork {
    waiting: Arc<Mutex<VecDeque<Work>>>,
    gathering: Gathering,
    threads: JoinSet<()>,
    /// When the work went on last: a thread was woken, or was done with a file.
    moved: Instant,
    results: mpsc::UnboundedReceiver<Input>,
    sender: mpsc::UnboundedSender<Input>,
}

impl FileWork {
    pub(super) fn new() -> Self {
        let (sender, results) = mpsc::unbounded_channel();
        Self {
            waiting: Arc::default(),
            gathering: Gathering::default(),
            threads: JoinSet::new(),
            moved: Instant::now(),
            results,
            sender,
        }
    }

    pub(super) fn start(&mut self, work: impl FnOnce() -> Input + Send + 'static) {
        let mut waiting = lock(&self.waiting);
        if waiting.is_empty() {
            self.gathering.begin();
        }
        waiting.push_back(Box::new(work));
    }

    /// The next result. Without work it waits for ever.
    pub(super) async fn next(&mut self, more: More) -> Input {
        loop {
            let may_wake = self.may_wake();
            let is_first = self.threads.is_empty();
            tokio::select! {
                biased;
                Some(input) = self.results.recv() => {
                    self.moved = Instant::now();
                    return input;
                }
                Some(ended) = self.threads.join_next() => resume(ended),
                () = self.gathering.end(more), if may_wake && is_first => self.wake(),
                () = sleep_until(self.moved + PATIENCE), if may_wake && !is_first => self.wake(),
            }
        }
    }

    /// Returns when no work waits and no thread is at work.
    pub(super) async fn finish(&mut self) {
        loop {
            while self.may_wake() {
                self.wake();
            }
            match self.threads.join_next().await {
                Some(ended) => resume(ended),
                None => return,
            }
        }
    }

    fn may_wake(&self) -> bool {
        self.threads.len() < THREADS && !lock(&self.waiting).is_empty()
    }

    fn wake(&mut self) {
        let (waiting, results) = (Arc::clone(&self.waiting), self.sender.clone());
        self.threads.spawn_blocking(move || run(&waiting, &results));
        self.moved = Instant::now();
    }
}

fn run(waiting: &Mutex<VecDeque<Work>>, results: &mpsc::UnboundedSender<Input>) {
    loop {
        // No thread holds the queue while it works.
        let Some(work) = lock(waiting).pop_front() else {
            return;
        };
        // A closed channel means that the agent has ended.
        if results.send(work()).is_err() {
            return;
        }
    }
}

fn lock(waiting: &Mutex<VecDeque<Work>>) -> MutexGuard<'_, VecDeque<Work>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn resume(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_file_that_hangs_holds_up_none_of_the_others() {
        let mut files = FileWork::new();
        let (release, hanging) = channel::<()>();
        files.start(move || {
            let _ = hanging.recv();
            Input::Timeout
        });
        for _ in 0..20 {
            files.start(|| Input::Terminate);
        }

        for _ in 0..20 {
            let done = timeout(LONG, files.next(More::Nothing))
                .await
                .expect("it is done");
            assert!(matches!(done, Input::Terminate));
        }

        drop(release);
        let done = timeout(LONG, files.next(More::Nothing))
            .await
            .expect("it is done");
        assert!(matches!(done, Input::Timeout));
    }

    #[tokio::test]
    async fn what_waits_at_the_end_is_done() {
        let mut files = FileWork::new();
        let (done, all) = channel();
        for _ in 0..20 {
            let done = done.clone();
            files.start(move || {
                done.send(()).unwrap();
                Input::Timeout
            });
        }
        drop(done);

        timeout(LONG, files.finish()).await.expect("it ends");

        assert_eq!(all.iter().count(), 20);
    }
}
