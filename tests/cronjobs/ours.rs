//! The operator's decisions about one PlanescapeJob, while nothing goes wrong.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::known::Whole;
use planescape_operator_core::job::observed::{End, KnownJob, KnownPod, Observed};
use planescape_operator_core::job::plan::{Action, Priority, plan};
use planescape_operator_core::job::status::{Applied, Checked, Facts, Started, status};
use planescape_operator_core::run::{self, Occasion};
use planescape_tests::cron_jobs::{Run, followed};
use serde_json::{Value, json};

use crate::{Case, ends};

/// An attempt that never rests would go on for ever.
const MOST_ATTEMPTS: usize = 50;

struct Ours<'a> {
    case: &'a Case,
    now: Timestamp,
    job: PlanescapeJob,
    jobs: BTreeMap<String, KnownJob>,
    /// The ends of the Jobs that go on.
    ends: BTreeMap<String, Timestamp>,
    wake: Option<Timestamp>,
    begun: Option<Started>,
    runs: Vec<Run>,
}

/// Every run that starts from the beginning of a case to its end.
pub(crate) fn runs(case: &Case) -> Vec<Run> {
    let mut edits = case.life.edits.iter().peekable();
    let mut ours = Ours::new(case);
    ours.settle();
    loop {
        let edit = edits
            .peek()
            .and_then(|(after, _)| case.start.checked_add(*after).ok());
        let next = ours
            .ends
            .values()
            .copied()
            .chain(ours.wake)
            .chain(edit)
            .min();
        ours.now = match next {
            Some(next) if next < case.end => next.max(ours.now),
            Some(_) | None => return ours.runs,
        };
        if edit.is_some_and(|edit| edit <= ours.now)
            && let Some((_, spec)) = edits.next()
        {
            ours.edit(spec);
        }
        ours.finish();
        ours.settle();
    }
}

impl<'a> Ours<'a> {
    fn new(case: &'a Case) -> Self {
        let job = json!({
            "metadata": {
                "name": "my-job", "namespace": "team", "uid": "of-the-planescapejob", "generation": 1,
                "resourceVersion": "1", "creationTimestamp": case.start.to_string(),
            },
            "spec": followed(&case.life.spec),
        });
        Self {
            case,
            now: case.start,
            job: serde_json::from_value(job).unwrap(),
            jobs: BTreeMap::new(),
            ends: BTreeMap::new(),
            wake: None,
            begun: None,
            runs: Vec::new(),
        }
    }

    fn edit(&mut self, spec: &Value) {
        let written = json!([{
            "manager": "kubectl", "operation": "Apply", "time": self.now.to_string(),
            "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": {} },
        }]);
        let metadata = &mut self.job.metadata;
        metadata.generation = metadata.generation.map(|it| it + 1);
        metadata.managed_fields = serde_json::from_value(written).unwrap();
        self.job.spec = serde_json::from_value(followed(spec)).unwrap();
    }

    /// Ends the Jobs whose time has come.
    fn finish(&mut self) {
        let now = self.now;
        self.ends.retain(|name, end| {
            let goes_on = *end > now;
            if let Some(known) = self.jobs.get_mut(name).filter(|_| !goes_on) {
                known.run.end = Some(End {
                    at: Some(now),
                    is_success: true,
                    reason: None,
                    message: None,
                });
            }
            goes_on
        });
    }

    /// Until there is nothing left to do now.
    fn settle(&mut self) {
        for _ in 0..MOST_ATTEMPTS {
            if self.attempt() {
                return;
            }
        }
        panic!("no rest at {}: {:?}", self.now, self.job.status);
    }

    /// Plans, acts and reports; returns whether there was nothing to do.
    fn attempt(&mut self) -> bool {
        let whole = Whole::of(self.job.clone(), &Defaults::default(), self.now);
        let checked = whole.validated.as_ref().map_err(Vec::as_slice);
        let identity = Identity::of(&self.job.metadata).unwrap();
        let jobs: Vec<&KnownJob> = self.jobs.values().collect();
        let pods: [KnownPod; 0] = [];
        let observed = Observed::of(&identity, &jobs, &pods);
        let planned = plan(
            &whole.job,
            checked,
            &observed,
            &Defaults::default(),
            self.now,
        );
        let mut applied = Applied {
            started: self.begun.take(),
            ..Applied::default()
        };
        for action in of_turn(&planned.actions, false) {
            self.act(&whole, action, &mut applied);
        }
        if planned.creates() {
            self.begun = applied.started;
            return false;
        }
        let after = status(&Facts {
            job: &whole.job,
            validated: checked,
            observed: &observed,
            plan: &planned,
            applied: &applied,
            now: self.now,
            reported: self.now,
        });
        let is_same = self.job.status.as_ref() == Some(&after);
        self.job.status = Some(after);
        for action in of_turn(&planned.actions, true) {
            self.act(&whole, action, &mut applied);
        }
        self.jobs
            .retain(|_, known| known.run.is_tracked || !known.run.is_deleting());
        let jobs = &self.jobs;
        self.ends.retain(|name, _| jobs.contains_key(name));
        self.wake = planned.wake;
        is_same && planned.actions.is_empty()
    }

    fn act(&mut self, whole: &Whole, action: &Action, applied: &mut Applied) {
        match action {
            Action::Create { tick } => applied.started = Some(self.create(whole, *tick)),
            Action::Delete { job, .. } => {
                if let Some(known) = self.jobs.get_mut(job) {
                    known.run.deleting_since.get_or_insert(self.now);
                }
            }
            Action::Release { job, .. } => {
                if let Some(known) = self.jobs.get_mut(job) {
                    known.run.is_tracked = false;
                }
            }
            Action::Check { .. } => applied.checked = Some(Checked::Accepted),
            Action::Adopt { .. }
            | Action::End { .. }
            | Action::Rerun { .. }
            | Action::Relabel { .. }
            | Action::MarkStarted { .. } => panic!("nothing asks for {action:?}"),
        }
    }

    fn create(&mut self, whole: &Whole, tick: Timestamp) -> Started {
        let (Ok(validated), Some(material)) = (&whole.validated, &whole.material) else {
            panic!("a job that cannot run starts one");
        };
        let mut object = run::build(validated, material, &Occasion::Tick(tick));
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        object["metadata"]["uid"] = json!(format!("{name}#{}", self.runs.len()));
        object["metadata"]["creationTimestamp"] = json!(self.now.to_string());
        object["status"] = json!({ "startTime": self.now.to_string() });
        let job: Job = serde_json::from_value(object).unwrap();
        let known = KnownJob::of(&job).unwrap();
        let started = Started {
            name: name.clone(),
            uid: known.run.uid.clone(),
            tick,
            rerun: None,
        };
        let end = ends(self.case, tick, self.now);
        self.ends.insert(name.clone(), end);
        let other = self.jobs.insert(name, known);
        assert!(other.is_none(), "{tick} runs twice");
        self.runs.push(Run { tick, at: self.now });
        started
    }
}

/// The actions before the report, or after it.
fn of_turn(actions: &[Action], is_after: bool) -> impl Iterator<Item = &Action> {
    let mut actions: Vec<&Action> = actions.iter().collect();
    actions.sort_by_key(|action| action.priority());
    let is_tidy = |action: &Action| action.priority() == Priority::Tidy;
    actions
        .into_iter()
        .filter(move |action| is_tidy(action) == is_after)
}
