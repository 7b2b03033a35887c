//! Runs passes over templates on a thread of the blocking pool, one after another: a text that
//! takes long holds up other texts alone.

use std::collections::VecDeque;

use planescape_agent_core::{Input, Rendering};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::gathering::{Gathering, More};

/// How many results may lie ready.
const READY: usize = 64;

/// The passes that wait, and the pass that runs.
pub(super) struct Passes {
    waiting: VecDeque<(usize, Rendering)>,
    gathering: Gathering,
    running: JoinSet<()>,
    results: mpsc::Receiver<Input>,
    sender: mpsc::Sender<Input>,
}

impl Passes {
    pub(super) fn new() -> Self {
        let (sender, results) = mpsc::channel(READY);
        Self {
            waiting: VecDeque::new(),
            gathering: Gathering::default(),
            running: JoinSet::new(),
            results,
            sender,
        }
    }

    pub(super) fn start(&mut self, template: usize, rendering: Rendering) {
        if self.waiting.is_empty() {
            self.gathering.begin();
        }
        self.waiting.push_back((template, rendering));
    }

    /// The next result. Without work it waits for ever.
    pub(super) async fn next(&mut self, more: More) -> Input {
        loop {
            let may_run = self.running.is_empty() && !self.waiting.is_empty();
            tokio::select! {
                biased;
                Some(input) = self.results.recv() => return input,
                Some(ended) = self.running.join_next() => if let Err(error) = ended {
                    std::panic::resume_unwind(error.into_panic());
                },
                () = self.gathering.end(more), if may_run => {
                    let batch = std::mem::take(&mut self.waiting);
                    let sender = self.sender.clone();
                    self.running.spawn_blocking(move || run(batch, &sender));
                }
                else => std::future::pending().await,
            }
        }
    }
}

fn run(batch: VecDeque<(usize, Rendering)>, results: &mpsc::Sender<Input>) {
    for (template, rendering) in batch {
        let result = rendering.run();
        // A closed channel means that the agent has ended.
        if results
            .blocking_send(Input::Rendered { template, result })
            .is_err()
        {
            return;
        }
    }
}
