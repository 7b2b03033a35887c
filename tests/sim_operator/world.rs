//! One history: what happens to two operators, their API server and its users.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::v1alpha1::{Outcome, PlanescapeJobStatus};
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::validate::validate;
use planescape_tests::chance::Chance;
use serde_json::Value;

use crate::ledger::Ledger;
use crate::operator::{Call, Operator};
use crate::server::{Cascade, Server};
use crate::spec::{self, Edit};
use crate::{Broken, Coverage};

/// The kinds of trouble; histories are shrunk by leaving kinds out.
pub(crate) const TROUBLE: [&str; 14] = [
    "request lost",
    "answer lost",
    "stale cache",
    "crash",
    "take-over",
    "two leaders",
    "frozen leader",
    "clock jump",
    "edit",
    "outage",
    "job deleted",
    "run by hand",
    "refused",
    "recreated",
];

pub(crate) struct World {
    chance: Chance,
    trouble: u32,
    server: Server,
    operators: [Operator; 2],
    leader: usize,
    /// The former leader goes on as well, for an instant.
    rival_since: Option<Timestamp>,
    pub(crate) ledger: Ledger,
    /// How long after its instant a run starts.
    delay: SignedDuration,
    /// Whether time goes on to what ran while clocks were ahead.
    skips_ahead: bool,
    last_trouble: Timestamp,
    /// The status that was looked at last.
    seen: Option<String>,
    last_schedule: Option<Timestamp>,
    /// The Jobs whose end a status has told, by UID.
    told_ends: BTreeSet<String>,
    tokens: usize,
    is_telling: bool,
    told: Vec<String>,
    broken: Option<Broken>,
}

impl World {
    pub(crate) fn new(seed: u64, trouble: u32, is_telling: bool) -> Self {
        let mut chance = Chance::new(seed);
        let start: Timestamp = "2026-11-24T10:00:30Z".parse().unwrap();
        let spec = spec::draw(&mut chance, start);
        let trouble = Self::with_or_without_jumps(trouble, &mut chance);
        let mut world = Self::of(&spec, start, trouble, chance);
        world.is_telling = is_telling;
        world
    }

    fn with_or_without_jumps(trouble: u32, chance: &mut Chance) -> u32 {
        // If clocks jump, less can be said of instants.
        let jumps = TROUBLE
            .iter()
            .position(|kind| *kind == "clock jump")
            .unwrap();
        trouble & !(u32::from(chance.once_in(2)) << jumps)
    }

    /// The world of one PlanescapeJob that is created at `start`.
    pub(crate) fn of(spec: &Value, start: Timestamp, trouble: u32, chance: Chance) -> Self {
        let server = Server::new(start, spec);
        let delay = delay(&server);
        let mut operators = [Operator::default(), Operator::default()];
        for operator in &mut operators {
            operator.restart(&server);
        }
        Self {
            chance,
            trouble,
            server,
            operators,
            leader: 0,
            rival_since: None,
            ledger: Ledger::new(spec["schedule"].as_str().unwrap(), start),
            delay,
            skips_ahead: false,
            last_trouble: start,
            seen: None,
            last_schedule: None,
            told_ends: BTreeSet::new(),
            tokens: 0,
            is_telling: false,
            told: Vec::new(),
            broken: None,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.server.now
    }

    pub(crate) fn has_jumped(&self) -> bool {
        self.server.has_jumped
    }

    /// When the Job of an instant was made.
    pub(crate) fn made_at(&self, tick: Timestamp) -> Option<Timestamp> {
        let run = format!("{}-{}", self.server.uid(), tick.as_second());
        self.server.made_at.get(&run).copied()
    }

    /// The leader is killed, and after the lease has run out another one leads.
    pub(crate) fn fail_over(&mut self) {
        self.pass(17);
        self.leader = 1 - self.leader;
        self.operators[self.leader].restart(&self.server);
        self.last_trouble = self.server.now;
    }

    pub(crate) fn broken(&self) -> Option<&Broken> {
        let operators = self.operators.iter().filter_map(|it| it.broken.as_ref());
        self.broken.iter().chain(operators).next()
    }

    fn breaks(&mut self, promise: &'static str, how: impl Into<String>) {
        let how = how.into();
        self.broken.get_or_insert(Broken { promise, how });
    }

    /// The latest events.
    pub(crate) fn story(&self) -> String {
        let from = self.told.len().saturating_sub(230);
        self.told[from..].join("\n")
    }

    fn tell(&mut self, what: &str) {
        if self.is_telling {
            self.told.push(format!("{} {what}", self.server.now));
        }
    }

    /// Whether this kind of trouble comes now, once in so many times.
    fn comes(&mut self, kind: &'static str, times: usize, coverage: &mut Coverage) -> bool {
        let position = TROUBLE.iter().position(|known| *known == kind).unwrap();
        let comes = self.chance.once_in(times) && self.trouble & (1 << position) != 0;
        if comes {
            let next = self.operators[self.leader].next(&self.server);
            *coverage.entry((kind, next)).or_default() += 1;
            if kind != "stale cache" {
                self.last_trouble = self.server.now;
            }
            self.tell(kind);
        }
        comes
    }

    /// One thing happens.
    pub(crate) fn step(&mut self, coverage: &mut Coverage) {
        self.meet_trouble(coverage);
        let leader = self.leader;
        if !self.comes("stale cache", 2, coverage) {
            self.operators[leader].hear(&self.server, true, true);
        } else if self.chance.once_in(2) {
            let of_job = self.chance.once_in(2);
            self.operators[leader].hear(&self.server, of_job, !of_job);
        }
        let call = if self.comes("request lost", 15, coverage) {
            Call::RequestLost
        } else if self.comes("answer lost", 15, coverage) {
            Call::AnswerLost
        } else {
            Call::Fine
        };
        let leader = self.leader;
        let has_done = self.work(leader, call);
        if !has_done {
            self.check_punctuality();
        }
        match self.rival_since {
            Some(since) if since == self.server.now => {
                self.work(1 - self.leader, Call::Fine);
            }
            Some(_) => {
                self.operators[1 - self.leader].restart(&self.server);
                self.rival_since = None;
            }
            None => {}
        }
        if !has_done && self.skips_ahead {
            self.skip_ahead();
        } else if !has_done || self.chance.once_in(6) {
            let seconds = self.chance.pick(&[1, 1, 3, 10, 20]);
            self.pass(seconds);
        }
        self.look();
    }

    fn work(&mut self, operator: usize, call: Call) -> bool {
        let [one, other] = &self.operators;
        let is_odd = one.ahead != 0 || other.ahead != 0;
        if self.rival_since.is_some() && is_odd {
            self.server.odd_rivals_at = self.server.now;
        }
        let next = self.operators[operator].next(&self.server);
        let done = self.operators[operator].step(&mut self.server, &mut self.chance, call);
        if done && self.is_telling {
            self.tell(&format!("operator {operator}: {next}"));
        }
        done
    }

    fn pass(&mut self, seconds: i64) {
        let before = self.server.now;
        self.server.pass(seconds);
        self.ledger.pass(before, self.server.now);
    }

    fn meet_trouble(&mut self, coverage: &mut Coverage) {
        let leader = self.leader;
        if self.comes("crash", 40, coverage) {
            self.operators[leader].restart(&self.server);
        }
        if self.comes("take-over", 60, coverage) {
            self.operators[leader].restart(&self.server);
            self.leader = 1 - leader;
            self.operators[self.leader].hear(&self.server, true, true);
            self.operators[self.leader].is_asked = true;
        }
        if self.rival_since.is_none() && self.comes("two leaders", 60, coverage) {
            // A lease that was taken early: both go on until the old leader looks at it again.
            self.leader = 1 - leader;
            self.operators[self.leader].restart(&self.server);
            self.rival_since = Some(self.server.now);
            self.ledger.had_rivals = true;
        }
        if self.comes("frozen leader", 60, coverage) {
            // It stood still between reading and writing, and finds its lease gone before it writes.
            self.pass(20);
            self.operators[self.leader].restart(&self.server);
            self.leader = 1 - self.leader;
            self.operators[self.leader].restart(&self.server);
            self.rival_since = None;
        }
        if self.comes("clock jump", 80, coverage) {
            self.server.has_jumped = true;
            self.set_clocks();
        }
        if self.comes("outage", 120, coverage) {
            let seconds = self.chance.pick(&[130, 400, 3_700]);
            self.pass(seconds);
            self.operators[self.leader].restart(&self.server);
        }
        if self.comes("edit", 50, coverage) {
            self.edit();
        }
        if self.comes("job deleted", 60, coverage) {
            let names: Vec<String> = self.server.jobs.keys().cloned().collect();
            if !names.is_empty() {
                let name = &names[self.chance.below(names.len())];
                // Its end can no longer be told, unless somebody has looked before.
                self.server.lose(name);
                let cascades = [Cascade::Foreground, Cascade::Background];
                self.server.delete(name, self.chance.pick(&cascades));
            }
        }
        if self.comes("run by hand", 60, coverage) {
            self.tokens += 1;
            let token = format!("token-{}", self.tokens);
            self.server.annotate("planescape.io/rerun", &token);
        }
        if self.comes("refused", 80, coverage) {
            let seconds = self.chance.pick(&[1, 7, 30, 90]);
            self.server.refuses_until = self.server.now + SignedDuration::from_secs(seconds);
        }
        if self.comes("recreated", 80, coverage) {
            self.recreate();
        }
    }

    /// Makes the PlanescapeJob anew; the fates of the former one's instants can no longer be told.
    fn recreate(&mut self) {
        self.server.recreate();
        let (now, spec) = (self.server.now, &self.server.job.spec);
        self.ledger = Ledger::new(&spec.schedule, now);
        if spec.suspend {
            self.ledger.suspend(true, now);
        }
        self.delay = delay(&self.server);
        self.seen = None;
        self.last_schedule = None;
    }

    /// Sets the operators' clocks. Once they are right again, and that is noticed, time may go on to an instant that ran
    /// while they were ahead.
    fn set_clocks(&mut self) {
        let ahead = self.chance.pick(&[0, 400, 3_600, -90]);
        for operator in &mut self.operators {
            operator.ahead = ahead;
            operator.is_asked = true;
        }
        self.skips_ahead = ahead <= 0 && self.chance.once_in(2);
    }

    /// Time goes on, to an instant that ran already if there is one.
    fn skip_ahead(&mut self) {
        self.skips_ahead = false;
        let ran: Vec<Timestamp> = self.server.made_for_later().collect();
        if !ran.is_empty() {
            let tick = ran[self.chance.below(ran.len())];
            let late = self.chance.pick(&[0, 1, 3]);
            self.pass(tick.duration_since(self.server.now).as_secs() + late);
        }
    }

    fn edit(&mut self) {
        let edit = spec::edit(&mut self.server, &mut self.chance);
        let (now, spec) = (self.server.now, &self.server.job.spec);
        match edit {
            Edit::None => return,
            Edit::Suspend => self.ledger.suspend(spec.suspend, now),
            Edit::Schedule => self.ledger.change(&spec.schedule, now),
            Edit::Windows => self.ledger.overtake(now),
            // If nobody has looked between several edits, their changes cannot be told apart.
            Edit::Other if !self.ledger.is_known() => self.ledger.change(&spec.schedule, now),
            Edit::Other => {}
        }
        self.delay = delay(&self.server);
        if self.chance.once_in(2) {
            // Nobody is there to see it.
            self.pass(130);
            self.operators[self.leader].restart(&self.server);
        }
    }

    /// Checks the promises that hold at any time.
    fn look(&mut self) {
        let version = &self.server.job.metadata.resource_version;
        if self.seen == *version {
            return;
        }
        self.seen.clone_from(version);
        let job = self.server.job.clone();
        let nothing = PlanescapeJobStatus::default();
        let status = job.status.as_ref().unwrap_or(&nothing);
        if self.is_telling {
            let written = serde_json::to_value(status).unwrap();
            let fields = [
                "lastScheduleTime",
                "pendingScheduleTime",
                "announcedRun",
                "scheduleReference",
                "settledAhead",
                "settledBefore",
                "skipped",
            ];
            let fields = fields.map(|field| written[field].to_string());
            self.tell(&format!("status: {}", fields.join(" ")));
        }
        for run in &status.runs {
            if run.outcome != Outcome::Running {
                self.told_ends.insert(run.uid.clone());
            }
            if self.server.lost.contains(&run.uid) {
                continue;
            }
            let is_wrong = match self.server.ended.get(&run.uid) {
                Some(true) => matches!(run.outcome, Outcome::Failed | Outcome::Deleted),
                Some(false) => matches!(run.outcome, Outcome::Succeeded | Outcome::Deleted),
                None => matches!(run.outcome, Outcome::Succeeded | Outcome::Failed),
            };
            if is_wrong {
                let how = format!("Job {} is called {:?}", run.job, run.outcome);
                self.breaks("no end that did not happen", how);
            }
        }
        let last = status.last_schedule_time.as_ref().map(|last| last.0);
        if !self.server.has_jumped {
            if last < self.last_schedule {
                self.breaks("lastScheduleTime never back", format!("{last:?}"));
            }
            let (made, uid) = (&self.server.made, self.server.uid());
            let is_once = job.spec.schedule == "@once";
            let is_made = |tick: Timestamp| {
                let run = format!("{uid}-{}", tick.as_second());
                made.contains_key(&run) || is_once && made.contains_key(&format!("{uid}-once"))
            };
            if let Err(broken) = self.ledger.hear(status, self.server.now, is_made) {
                self.broken.get_or_insert(broken);
            }
        }
        self.last_schedule = last;
    }

    /// An operator that nothing has troubled does not rest while an instant is due.
    fn check_punctuality(&mut self) {
        if self.server.has_jumped || self.broken().is_some() {
            return;
        }
        let now = self.server.now;
        let leader = &self.operators[self.leader];
        let Some(tick) = self.ledger.open(now, self.delay) else {
            return;
        };
        let trouble = self.last_trouble.max(self.server.refuses_until);
        if trouble < tick + self.delay && !leader.is_behind(&self.server) {
            let wake = leader.wake;
            self.breaks("no run late", format!("{tick} at {now}, wakes at {wake:?}"));
        }
    }

    /// Nothing goes wrong any more, and all that is due is done.
    pub(crate) fn calm_down(&mut self) {
        self.tell("calm");
        self.server.refuses_until = Timestamp::MIN;
        for operator in &mut self.operators {
            operator.ahead = 0;
            operator.restart(&self.server);
        }
        self.settle();
        if let Some(open) = self.ledger.open(self.server.now, self.delay)
            && !self.server.has_jumped
            && self.broken().is_none()
        {
            self.breaks("no instant without a word", format!("{open} in the end"));
        }
        // All runs end, and nothing new is due.
        self.server.edit(|job| job.spec.suspend = true);
        self.ledger.suspend(true, self.server.now);
        self.settle();
        // A run by hand may have waited for the end of another.
        for _ in 0..3 {
            self.pass(400);
            self.settle();
        }
        // A clock that was ahead has settled instants; they are forgotten once the time has come to them.
        self.operators[self.leader].restart(&self.server);
        self.pass(3_600);
        self.settle();
        let writes = self.server.writes;
        self.operators[self.leader].restart(&self.server);
        self.settle();
        if self.server.writes != writes {
            let how = format!("{} writes", self.server.writes - writes);
            self.breaks("no write when nothing changes", how);
        }
        self.check_history();
        self.check_ends();
        self.retire();
    }

    /// Every run that has ended was told of, also where the history forgets it in the same write.
    fn check_ends(&mut self) {
        let server = &self.server;
        let mut ended = server.ended.keys();
        let is_told = |uid: &String| server.lost.contains(uid) || self.told_ends.contains(uid);
        let untold = ended.find(|uid| !is_told(uid));
        if let Some(uid) = untold.cloned()
            && !self.server.has_jumped
        {
            self.breaks("no end without a word", format!("Job {uid}"));
        }
    }

    /// Goes on until nobody has anything to do now.
    fn settle(&mut self) {
        let leader = self.leader;
        for _ in 0..2_000 {
            self.operators[leader].hear(&self.server, true, true);
            let is_busy = self.work(leader, Call::Fine);
            self.look();
            if !is_busy || self.broken().is_some() {
                return;
            }
        }
        self.breaks("no work without end", "still at work after 2,000 steps");
    }

    /// The PlanescapeJob is deleted, and nothing of ours holds its Jobs.
    fn retire(&mut self) {
        self.server.retire();
        self.settle();
        let held = self.server.jobs.values().find(|job| job.run.is_tracked);
        if let Some(held) = held {
            let how = format!("Job {} is held", held.run.name);
            self.breaks("no finalizer left", how);
        }
    }

    fn check_history(&mut self) {
        let spec = &self.server.job.spec;
        let limits = [
            ("rerun", spec.rerun_jobs_history_limit),
            ("successful", spec.successful_jobs_history_limit),
            ("failed", spec.failed_jobs_history_limit),
            ("active", 0),
        ];
        let mut kept: BTreeMap<&str, i32> = BTreeMap::new();
        let mut held = None;
        for known in self.server.jobs.values() {
            let bucket = match (&known.run.rerun, &known.run.end) {
                (Some(_), Some(_)) => "rerun",
                (None, Some(end)) if end.is_success => "successful",
                (None, Some(_)) => "failed",
                (_, None) => "active",
            };
            *kept.entry(bucket).or_default() += 1;
            if known.run.is_tracked {
                held = Some(format!("Job {} is never let go", known.run.name));
            }
        }
        if let Some(held) = held {
            self.breaks("no finalizer left", held);
        }
        for (bucket, most) in limits {
            if kept.get(bucket).is_some_and(|kept| *kept > most) {
                let how = format!("{} {bucket} Jobs are kept", kept[bucket]);
                self.breaks("history within its limits", how);
            }
        }
    }
}

/// How long after its instant a run starts.
fn delay(server: &Server) -> SignedDuration {
    let validated = validate(&server.job, &Defaults::default(), server.now);
    let (validated, _) = validated.unwrap();
    validated.delay
}
