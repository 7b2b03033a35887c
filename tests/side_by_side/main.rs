//! The same schedules as CronJobs and as PlanescapeJobs, beside each other on one API server, in real minutes.
//!
//! ```text
//! tests/run side-by-side                            # ten minutes
//! SIDE_BY_SIDE_MINUTES=30 tests/run side-by-side    # half an hour
//! ```
//!
//! `SIDE_BY_SIDE_OBJECTS` and `SIDE_BY_SIDE_SEED` choose how many there are and which.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use planescape_tests::chance::Chance;
use planescape_tests::control_plane::User;
use planescape_tests::cron_jobs::{Both, Life, Pace, Reason, Run, followed};
use planescape_tests::process::Server;
use planescape_tests::programs::Program;
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

const RESOURCE_DEFINITION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/10-planescapejobs.yaml"
);

/// The API server takes this many objects at once.
const WRITERS: usize = 16;

/// Between two looks at the Jobs, each of which is there for longer.
const LOOK: Duration = Duration::from_secs(4);

/// How many seconds runs last. The first ones end far from all instants.
const LASTS: [i64; 3] = [20, 95, 155];

/// Runs so close together may start in either order: kube-controller-manager makes 20 calls a second.
const CLOSE: SignedDuration = SignedDuration::from_secs(12);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Ours,
    Theirs,
}

/// Runs by side and object.
type Runs = BTreeMap<(Side, usize), BTreeSet<Run>>;

fn number(name: &str, usual: i64) -> i64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[tokio::test]
async fn starts_what_a_cronjob_starts_in_real_minutes() {
    let length = SignedDuration::from_mins(number("SIDE_BY_SIDE_MINUTES", 10));
    let count = usize::try_from(number("SIDE_BY_SIDE_OBJECTS", 200)).unwrap();
    let mut chance = Chance::new(number("SIDE_BY_SIDE_SEED", 1).cast_unsigned());
    let lives: Vec<(Life, i64)> = (0..count).map(|_| draw(&mut chance, length)).collect();
    let cluster = Cluster::start().await.unwrap();
    let client = prepare(&cluster).await;
    let _operator = start_operator(&cluster);

    let start = half_past_a_minute();
    until(start).await;
    let all = |side| lives.iter().enumerate().map(move |it| (side, it));
    let both = all(Side::Theirs).chain(all(Side::Ours));
    stream::iter(both)
        .for_each_concurrent(WRITERS, |(side, (number, (life, _)))| {
            create(client.clone(), side, number, &life.spec)
        })
        .await;
    let runs = watch(&client, &lives, (start, start + length)).await;

    judge(&lives, &runs, (start, start + length));
}

fn draw(chance: &mut Chance, length: SignedDuration) -> (Life, i64) {
    let lasts = chance.pick(&LASTS);
    // Without a node no pod would end: a Job without pods ends by its deadline.
    let template = json!({ "spec": {
        "parallelism": 0, "activeDeadlineSeconds": lasts,
        "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "main", "image": "busybox:1.35" }],
        } },
    } });
    (Life::draw(chance, Pace::Minutes, length, template), lasts)
}

async fn prepare(cluster: &Cluster) -> Client {
    let control_plane = &cluster.control_plane;
    let define = ["apply", "--server-side", "-f", RESOURCE_DEFINITION];
    control_plane.kubectl(&define).await.unwrap();
    let established = ["wait", "--for=condition=Established", "crd", "--all"];
    // It fails as long as there is no condition at all.
    while control_plane.kubectl(&established).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for side in [Side::Ours, Side::Theirs] {
        let create = ["create", "namespace", side.namespace()];
        control_plane.kubectl(&create).await.unwrap();
    }
    control_plane.client().await.unwrap()
}

fn start_operator(cluster: &Cluster) -> Server {
    let mut command = Command::new(Program::Operator.build().unwrap());
    command
        .args(["operator", "--namespace", Side::Ours.namespace()])
        .args(["--listen", "127.0.0.1:0", "--leader-elect=false"])
        .env("KUBECONFIG", cluster.control_plane.kubeconfig(User::Admin));
    Server::start("operator", &command, cluster.run.path()).unwrap()
}

/// A moment soon, and far from the instants of all schedules.
fn half_past_a_minute() -> Timestamp {
    let soon = Timestamp::now().as_second() + 5;
    Timestamp::from_second((soon - 30).div_euclid(60) * 60 + 90).unwrap()
}

async fn until(instant: Timestamp) {
    let wait = instant.duration_since(Timestamp::now());
    tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
}

async fn create(client: Client, side: Side, number: usize, spec: &Value) {
    let resource = side.resource();
    let object = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": name(number) },
        "spec": side.spec(spec),
    });
    let object = serde_json::from_value(object).unwrap();
    let objects = side.objects(client);
    objects
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

/// Edits when it is time to, and collects every Job until the end.
async fn watch(
    client: &Client,
    lives: &[(Life, i64)],
    (start, end): (Timestamp, Timestamp),
) -> Runs {
    let mut edits: Vec<(Timestamp, usize, &Value)> = Vec::new();
    for (number, (life, _)) in lives.iter().enumerate() {
        let of_one = life.specs(start).skip(1);
        edits.extend(of_one.map(|(at, spec)| (at, number, spec)));
    }
    edits.sort_by_key(|(at, number, _)| (*at, *number));
    let mut edits = edits.into_iter().peekable();
    let mut runs = Runs::new();
    while Timestamp::now() < end {
        while let Some((_, number, spec)) = edits.next_if(|(at, ..)| *at <= Timestamp::now()) {
            for side in [Side::Theirs, Side::Ours] {
                edit(client.clone(), side, number, spec).await;
            }
        }
        for side in [Side::Ours, Side::Theirs] {
            look(client, side, &mut runs).await;
        }
        tokio::time::sleep(LOOK).await;
    }
    runs
}

async fn edit(client: Client, side: Side, number: usize, spec: &Value) {
    let mut spec = side.spec(spec);
    if side == Side::Ours && spec.get("forbidBehavior").is_none() {
        spec["forbidBehavior"] = Value::Null;
    }
    let objects = side.objects(client);
    let patch = Patch::Merge(json!({ "spec": spec }));
    let options = PatchParams::default();
    let patched = objects.patch(&name(number), &options, &patch).await;
    patched.unwrap();
}

async fn look(client: &Client, side: Side, runs: &mut Runs) {
    let jobs: Api<Job> = Api::namespaced(client.clone(), side.namespace());
    for job in jobs.list(&ListParams::default()).await.unwrap() {
        let annotations = job.metadata.annotations.unwrap_or_default();
        let tick = &annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"];
        let owner = &job.metadata.owner_references.unwrap()[0].name;
        let number = owner.strip_prefix("job-").unwrap().parse().unwrap();
        let run = Run {
            tick: tick.parse().unwrap(),
            at: job.metadata.creation_timestamp.unwrap().0,
        };
        runs.entry((side, number)).or_default().insert(run);
    }
}

fn judge(lives: &[(Life, i64)], runs: &Runs, (start, end): (Timestamp, Timestamp)) {
    // A run that is due in the last minute may still be on its way.
    let last = end - SignedDuration::from_mins(1);
    let of = |side: Side, number: usize| -> Vec<Run> {
        let runs = runs.get(&(side, number)).into_iter().flatten();
        runs.filter(|run| run.tick <= last).copied().collect()
    };
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut same = 0;
    // Runs that wait for no other.
    let mut free: BTreeMap<Side, Vec<Run>> = BTreeMap::new();
    let mut count = 0;
    for (number, (life, lasts)) in lives.iter().enumerate() {
        let (ours, theirs) = (of(Side::Ours, number), of(Side::Theirs, number));
        if life
            .specs(start)
            .all(|(_, spec)| spec["concurrencyPolicy"] == "Allow")
        {
            free.entry(Side::Ours).or_default().extend(&ours);
            free.entry(Side::Theirs).or_default().extend(&theirs);
        }
        count += ours.len();
        let twice = |runs: &[Run]| runs.windows(2).any(|two| two[0].tick == two[1].tick);
        assert!(!twice(&ours) && !twice(&theirs), "an instant runs twice");
        let both = Both {
            life,
            start,
            ours: &ours,
            theirs: &theirs,
        };
        let differing = both.differing();
        same += usize::from(differing.is_empty());
        for tick in differing {
            let why = both.reason(tick).map(told);
            let why = why.or_else(|| is_close(&both, tick, *lasts).then(|| "TooClose".to_owned()));
            match why {
                Some(why) => *reasons.entry(why).or_default() += 1,
                None => wrong.push(format!("job-{number}, {lasts} s: {}", both.told(tick))),
            }
        }
    }
    let objects = lives.len();
    eprintln!("{objects} objects, {count} runs; {same} the same, {reasons:?}");
    for (side, runs) in free {
        eprintln!("Allow, {side:?}: {}", lateness(&runs));
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(same * 4 > objects * 3, "too few are comparable");
}

fn told(reason: Reason) -> String {
    format!("{reason:?}")
}

/// Whether a run ends, or somebody edits, so close to an instant or to its deadline that the order is
/// nobody's choice.
fn is_close(both: &Both<'_>, tick: Timestamp, lasts: i64) -> bool {
    let deadline = both.life.spec["startingDeadlineSeconds"].as_i64();
    let is_close = |instant: Timestamp| {
        // Instants are whole minutes.
        let marks = [Some(0), deadline].into_iter().flatten();
        let mut apart = marks.map(|mark| (instant.as_second() - mark).rem_euclid(60));
        apart.any(|seconds| seconds.min(60 - seconds) <= CLOSE.as_secs())
    };
    let mut runs = both.ours.iter().chain(both.theirs);
    runs.any(|run| run.tick <= tick && is_close(run.at + SignedDuration::from_secs(lasts)))
        || both
            .life
            .specs(both.start)
            .skip(1)
            .any(|(edit, _)| edit.duration_since(tick).abs() <= CLOSE)
}

/// How many runs there are, and how long after their instants they start.
fn lateness(runs: &[Run]) -> String {
    let late = runs.iter().map(|run| run.at.duration_since(run.tick));
    let mut late: Vec<i64> = late.map(|it| it.as_secs()).collect();
    late.sort_unstable();
    let at = |share: usize| late[(late.len() - 1) * share / 100];
    let shares = [50, 99, 100].map(at);
    let [half, most, all] = shares;
    format!(
        "{} runs, half of them within {half} s, 99 % within {most} s, all within {all} s",
        late.len()
    )
}

fn name(number: usize) -> String {
    format!("job-{number}")
}

impl Side {
    fn namespace(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
        }
    }

    fn resource(self) -> ApiResource {
        ApiResource::from_gvk(&match self {
            Self::Ours => GroupVersionKind::gvk("planescape.io", "v1alpha1", "PlanescapeJob"),
            Self::Theirs => GroupVersionKind::gvk("batch", "v1", "CronJob"),
        })
    }

    fn objects(self, client: Client) -> Api<DynamicObject> {
        Api::namespaced_with(client, self.namespace(), &self.resource())
    }

    fn spec(self, spec: &Value) -> Value {
        match self {
            Self::Ours => followed(spec),
            Self::Theirs => spec.clone(),
        }
    }
}
