//! One history: what happens to two operators, their API server and its users.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::v1alpha1::{DstPolicy, Outcome};
use planescape_operator_core::schedule::Schedule;
use planescape_tests::chance::Chance;
use serde_json::{Value, json};

use crate::Coverage;
use crate::operator::{Call, Operator};
use crate::server::Server;

/// What can go wrong; histories are shrunk by leaving kinds out.
pub(crate) const TROUBLE: [&str; 12] = [
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
];

pub(crate) struct World {
    chance: Chance,
    trouble: u32,
    server: Server,
    operators: [Operator; 2],
    leader: usize,
    /// The former leader goes on as well, for an instant.
    rival_since: Option<Timestamp>,
    /// Since when the schedule is as it is.
    since: Timestamp,
    has_jumped: bool,
    last_schedule: Option<Timestamp>,
    tokens: usize,
    told: Vec<String>,
    broken: Option<String>,
}

impl World {
    pub(crate) fn new(seed: u64, trouble: u32) -> Self {
        let mut chance = Chance::new(seed);
        let start: Timestamp = "2026-11-24T10:00:30Z".parse().unwrap();
        let schedule = chance.pick(&["* * * * *", "*/2 * * * *", "0,1,30 * * * *", "@every 90s"]);
        let policy = chance.pick(&["Allow", "Forbid", "Forbid", "Replace"]);
        let mut spec = json!({
            "schedule": schedule, "concurrencyPolicy": policy,
            "jobTemplate": { "spec": { "template": { "spec": {
                "containers": [{ "name": "main", "image": "busybox:1.35" }],
            } } } },
        });
        if policy == "Forbid" && chance.once_in(3) {
            spec["forbidBehavior"] = json!("Queue");
        }
        if chance.once_in(3) {
            spec["successfulJobsHistoryLimit"] = json!(0);
            spec["failedJobsHistoryLimit"] = json!(0);
        }
        if chance.once_in(3) {
            spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = json!(0);
        }
        if chance.once_in(4) {
            spec["startingDeadlineSeconds"] = json!(chance.pick(&[5, 45]));
        }
        if chance.once_in(4) {
            spec["jitterSeconds"] = json!(20);
        }
        let server = Server::new(start, spec);
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
            since: start,
            has_jumped: false,
            last_schedule: None,
            tokens: 0,
            told: Vec::new(),
            broken: None,
        }
    }

    pub(crate) fn broken(&self) -> Option<String> {
        let operators = self.operators.iter().filter_map(|it| it.broken.clone());
        self.broken.clone().into_iter().chain(operators).next()
    }

    fn breaks(&mut self, promise: impl Into<String>) {
        self.broken.get_or_insert(promise.into());
    }

    /// What happened last.
    pub(crate) fn story(&self) -> String {
        let from = self.told.len().saturating_sub(60);
        self.told[from..].join("\n")
    }

    fn tell(&mut self, what: &str) {
        self.told.push(format!("{} {what}", self.server.now));
    }

    /// Whether this kind of trouble comes now, once in so many times.
    fn comes(&mut self, kind: &'static str, times: usize, coverage: &mut Coverage) -> bool {
        let position = TROUBLE.iter().position(|known| *known == kind).unwrap();
        let comes = self.chance.once_in(times) && self.trouble & (1 << position) != 0;
        if comes {
            let phase = self.operators[self.leader].phase();
            *coverage.entry((kind, phase)).or_default() += 1;
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
        let has_done = self.work(leader, call);
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
        if !has_done || self.chance.once_in(6) {
            let seconds = self.chance.pick(&[1, 1, 3, 10, 20]);
            self.pass(seconds);
        }
        self.look();
    }

    fn work(&mut self, operator: usize, call: Call) -> bool {
        let phase = self.operators[operator].phase();
        let done = self.operators[operator].step(&mut self.server, &mut self.chance, call);
        if done {
            self.tell(&format!("operator {operator} {phase}"));
        }
        done
    }

    /// Time passes no further than to what somebody waits for.
    fn pass(&mut self, seconds: i64) {
        self.server.pass(seconds);
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
            self.has_jumped = true;
            let ahead = self.chance.pick(&[0, 400, 3_600, -90]);
            for operator in &mut self.operators {
                operator.ahead = ahead;
                operator.is_asked = true;
            }
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
                // Nobody can tell any more how it ended, unless somebody has looked before.
                self.server.lose(name);
                self.server.delete(name);
            }
        }
        if self.comes("run by hand", 60, coverage) {
            self.tokens += 1;
            let token = format!("token-{}", self.tokens);
            self.server.annotate("planescape.io/rerun", &token);
        }
    }

    fn edit(&mut self) {
        let is_suspended = self.server.job["spec"]["suspend"] == Value::Bool(true);
        if self.chance.once_in(2) {
            self.server.edit("suspend", json!(!is_suspended));
        } else {
            let schedule = self.chance.pick(&["* * * * *", "*/3 * * * *", "@every 2m"]);
            if self.server.job["spec"]["schedule"] == schedule {
                return;
            }
            self.server.edit("schedule", json!(schedule));
        }
        self.since = Timestamp::from_second(self.server.now.as_second()).unwrap();
        if self.chance.once_in(2) {
            // Nobody is there to see it.
            self.pass(130);
            self.operators[self.leader].restart(&self.server);
        }
    }

    /// What holds at any time.
    fn look(&mut self) {
        let status = self.server.planescape_job().status.unwrap_or_default();
        for run in &status.runs {
            if self.server.lost.contains(&run.uid) {
                continue;
            }
            let is_wrong = match self.server.ended.get(&run.uid) {
                Some(true) => matches!(run.outcome, Outcome::Failed | Outcome::Deleted),
                Some(false) => matches!(run.outcome, Outcome::Succeeded | Outcome::Deleted),
                None => matches!(run.outcome, Outcome::Succeeded | Outcome::Failed),
            };
            if is_wrong {
                self.breaks(format!("Job {} is called {:?}", run.job, run.outcome));
            }
        }
        let last = status.last_schedule_time.map(|last| last.0);
        if !self.has_jumped && last < self.last_schedule {
            self.breaks(format!("lastScheduleTime goes back to {last:?}"));
        }
        self.last_schedule = last;
    }

    /// Nothing goes wrong any more, and what is due is done.
    pub(crate) fn calm_down(&mut self) {
        self.tell("calm");
        for operator in &mut self.operators {
            operator.ahead = 0;
            operator.restart(&self.server);
        }
        self.settle();
        // All runs end, and nothing new is due.
        self.server.edit("suspend", json!(true));
        self.check_instants();
        self.settle();
        // A run by hand may have waited for the end of another.
        for _ in 0..3 {
            self.server.pass(400);
            self.settle();
        }
        // What a clock that was ahead has settled is forgotten once the time has come to it.
        self.operators[self.leader].restart(&self.server);
        self.server.pass(3_600);
        self.settle();
        let writes = self.server.writes;
        self.operators[self.leader].restart(&self.server);
        self.settle();
        if self.server.writes != writes && self.broken.is_none() {
            self.breaks("writes although nothing changes");
        }
        self.check_history();
    }

    /// Until nobody has anything to do now.
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
        self.breaks("does not come to rest");
    }

    /// The latest instant is started, skipped or waits.
    fn check_instants(&mut self) {
        let spec = &self.server.job["spec"];
        let is_suspended = self.server.planescape_job().status.is_some_and(|status| {
            status
                .conditions
                .iter()
                .any(|it| it.type_ == "Suspended" && it.status == "True")
        });
        let text = spec["schedule"].as_str().unwrap();
        if self.has_jumped || is_suspended || text.starts_with("@every") || self.broken().is_some()
        {
            return;
        }
        let delay = if spec["jitterSeconds"].is_null() {
            0
        } else {
            20
        };
        let schedule =
            Schedule::parse(text, jiff::tz::TimeZone::UTC, DstPolicy::default()).unwrap();
        let until = self.server.now - SignedDuration::from_secs(delay);
        let due = schedule
            .previous(until, until)
            .filter(|tick| *tick > self.since);
        let status = self.server.planescape_job().status.unwrap_or_default();
        let known = [status.last_schedule_time, status.pending_schedule_time];
        let known = known.into_iter().flatten().map(|time| time.0).max();
        if due > known {
            self.breaks(format!("nothing became of {due:?}, only of {known:?}"));
        }
    }

    fn check_history(&mut self) {
        let spec = self.server.job["spec"].clone();
        let limit = |field: &str, usual: u64| spec[field].as_u64().unwrap_or(usual);
        let mut kept: BTreeMap<&str, u64> = BTreeMap::new();
        for known in self.server.all().into_values() {
            let bucket = match (&known.run.rerun, &known.run.end) {
                (Some(_), Some(_)) => "rerun",
                (None, Some(end)) if end.is_success => "successful",
                (None, Some(_)) => "failed",
                (_, None) => "active",
            };
            *kept.entry(bucket).or_default() += 1;
            if known.run.is_tracked {
                self.breaks(format!("Job {} is never let go", known.run.name));
            }
        }
        for (bucket, most) in [
            ("rerun", limit("rerunJobsHistoryLimit", 3)),
            ("successful", limit("successfulJobsHistoryLimit", 3)),
            ("failed", limit("failedJobsHistoryLimit", 1)),
            ("active", 0),
        ] {
            if kept.get(bucket).is_some_and(|kept| *kept > most) && self.broken.is_none() {
                self.breaks(format!("{} {bucket} Jobs are kept", kept[bucket]));
            }
        }
    }
}
