//! Lets a run end in each way at once, while somebody is in trouble, and looks at Vault's leases.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::Lease;
use planescape_tests::deployment;
use planescape_tests::vault::{Entry, Role};
use serde_json::Value;

use crate::bed::{Bed, processes};
use crate::table::{End, GUARD, Trouble, Way};

/// The name that the kernel shows of the agent.
const AGENT: &str = "planescape-agen";

/// Until when a lease must be gone on the slowest machine.
const LIMIT: Duration = Duration::from_secs(GUARD.as_secs() + 60);

/// One run, as it was before its end.
struct Run {
    way: Way,
    pod: String,
    uid: String,
    /// The address of its pod.
    address: String,
    triggered: Instant,
    gone: [Option<Instant>; 2],
    untrue: Option<String>,
}

/// One run for each way, of which all end at once. Namespaces have a name for each round.
pub(crate) async fn all_ways(
    bed: &mut Bed,
    (trouble, ways): (Trouble, &[Way]),
    round: &str,
) -> Result<Vec<End>> {
    let place = Place {
        namespace: format!("ends-{}{round}", trouble.name()),
        trouble: trouble.name(),
    };
    for namespace in place.namespaces() {
        bed.testbed.prepare(&namespace).await?;
        deployment::let_credentials_in(&bed.testbed.control_plane, &namespace).await?;
    }
    for way in ways {
        place.apply(bed, *way).await?;
    }
    let mut runs = Vec::new();
    for way in ways {
        runs.push(place.until_held(bed, *way).await?);
    }
    let logins = bed.testbed.vault.requests()?;
    let accessors: Vec<String> = runs
        .iter()
        .map(|run| accessor(&logins, run))
        .collect::<Result<_>>()?;
    bed.begin(trouble).await?;
    let began = Instant::now();
    let triggers = runs.iter_mut().map(|run| place.trigger(bed, trouble, run));
    try_join_all(triggers).await?;
    let mut over = None;
    let client = bed.testbed.control_plane.client().await?;
    let jobs: [Api<PlanescapeJob>; 2] = place
        .namespaces()
        .map(|namespace| Api::namespaced(client.clone(), &namespace));
    while runs.iter().any(Run::is_awaited) {
        if over.is_none() && began.elapsed() >= trouble.length() {
            bed.end(trouble).await?;
            over = Some(Instant::now());
        }
        if over.is_some_and(|over| over.elapsed() > LIMIT) {
            break;
        }
        let claimed = claimed(&jobs).await.unwrap_or_default();
        // Leases are looked for after the status was read.
        for run in &mut runs {
            place.look(bed, run, &claimed).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let over = over.unwrap_or(began);
    let requests = bed.testbed.vault.requests()?;
    let ends = runs.into_iter().zip(accessors).map(|(run, accessor)| {
        let has_end = !trouble.length().is_zero();
        let since = run.triggered.max(if has_end { over } else { began });
        let lived = |gone: Option<Instant>| gone.map(|gone| gone.saturating_duration_since(since));
        End {
            way: run.way,
            trouble,
            by_agent: requests.iter().any(|entry| {
                entry.is("update", "auth/token/revoke-self")
                    && entry.error.is_none()
                    && entry.accessor.as_ref() == Some(&accessor)
            }),
            file: lived(run.gone[0]),
            secret: lived(run.gone[1]),
            untrue: run.untrue,
        }
    });
    Ok(ends.collect())
}

/// Deletes what rounds have left.
pub(crate) async fn tidy(bed: &Bed, trouble: Trouble, round: &str) -> Result<()> {
    let place = Place {
        namespace: format!("ends-{}{round}", trouble.name()),
        trouble: trouble.name(),
    };
    let [shared, own] = place.namespaces();
    let delete = ["delete", "namespace", &shared, &own, "--ignore-not-found"];
    bed.testbed.control_plane.kubectl(&delete).await.map(drop)
}

/// The accessor of the token that its agent has logged in for.
fn accessor(requests: &[Entry], run: &Run) -> Result<String> {
    let login = requests.iter().rev().find(|entry| {
        entry.is("update", "auth/kubernetes/login") && entry.remote_address == run.address
    });
    let accessor = login.and_then(|login| login.accessor.clone());
    accessor.context("its agent has logged in")
}

impl Run {
    /// Whether a lease of it is still to end.
    fn is_awaited(&self) -> bool {
        let [file, secret] = self.gone;
        file.is_none() || (secret.is_none() && self.way.ends_secret())
    }

    fn job(&self) -> &str {
        self.pod.rsplit_once('-').map_or("", |(job, _)| job)
    }
}

/// The namespaces of one trouble.
struct Place {
    namespace: String,
    trouble: &'static str,
}

impl Place {
    /// The database role of a run's file, or of its Secret.
    fn role(&self, way: Way, of: &str) -> String {
        format!("{of}-{}-{}", self.trouble, way.name())
    }

    /// The namespace of most runs, and one that is deleted.
    fn namespaces(&self) -> [String; 2] {
        [self.namespace.clone(), format!("{}-gone", self.namespace)]
    }

    fn namespace(&self, way: Way) -> String {
        let [shared, own] = self.namespaces();
        match way == Way::NamespaceDeleted {
            true => own,
            false => shared,
        }
    }

    /// Runs kubectl in the namespace of a run that ends this way.
    async fn kubectl(&self, bed: &Bed, way: Way, arguments: &[&str]) -> Result<String> {
        let cluster = &bed.testbed.control_plane;
        cluster.kubectl_in(&self.namespace(way), arguments).await
    }

    async fn get(&self, bed: &Bed, way: Way, what: &str) -> Result<Value> {
        let get = ["get", what, "-o", "json"];
        let text = self.kubectl(bed, way, &get).await?;
        Ok(serde_json::from_str(&text)?)
    }

    async fn apply(&self, bed: &Bed, way: Way) -> Result<()> {
        for of in ["file", "secret"] {
            let role = Role {
                name: &self.role(way, of),
                default_ttl: "10m",
                max_ttl: "1h",
            };
            bed.testbed.vault.set_database_role(role).await?;
        }
        let cluster = &bed.testbed.control_plane;
        let manifest = self.manifest(way);
        let namespace = self.namespace(way);
        cluster.apply_in(&namespace, &manifest).await.map(drop)
    }

    fn manifest(&self, way: Way) -> String {
        format!(
            r#"
apiVersion: planescape.io/v1alpha1
kind: PlanescapeJob
metadata: {{name: {name}}}
spec:
  schedule: "@once"
  vault:
    role: runs
    secrets:
    - {{name: db, path: database/creds/{secret}, secretName: creds}}
  jobTemplate:
    spec:
      backoffLimit: 0{ttl}
      template:
        metadata:
          annotations:
            vault.hashicorp.com/agent-inject: "true"
            vault.hashicorp.com/role: "runs"
            vault.hashicorp.com/auth-audience: "vault"
            planescape.io/lease-guard: "{guard}s"
            vault.hashicorp.com/agent-inject-secret-db: "database/creds/{file}"
        spec:
          terminationGracePeriodSeconds: 5
          containers:
          - name: main
            image: busybox:1.35
            command: ["/bin/sh", "-c"]
            args: ["trap 'exit 0' USR1; trap 'exit 3' USR2 TERM; while :; do sleep 0.1; done"]
            envFrom: [{{secretRef: {{name: creds}}}}]
"#,
            name = way.name(),
            guard = GUARD.as_secs(),
            ttl = match way == Way::DeletedAtOnce {
                true => "\n      ttlSecondsAfterFinished: 0",
                false => "",
            },
            file = self.role(way, "file"),
            secret = self.role(way, "secret"),
        )
    }

    async fn leases(&self, bed: &Bed, way: Way, of: &str) -> Result<usize> {
        let path = format!("database/creds/{}", self.role(way, of));
        Ok(bed.testbed.vault.leases(&path).await?.len())
    }

    async fn until_held(&self, bed: &Bed, way: Way) -> Result<Run> {
        let started = Instant::now();
        loop {
            if let Some(run) = self.held(bed, way).await? {
                return Ok(run);
            }
            if started.elapsed() > Duration::from_secs(120) {
                let object = format!("pjob/{}", way.name());
                let described = self.kubectl(bed, way, &["describe", &object]).await?;
                let pods = self.kubectl(bed, way, &["describe", "pods"]).await?;
                ensure!(false, "{} does not start: {described}\n{pods}", way.name());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The run, once both leases are there and the status knows it.
    async fn held(&self, bed: &Bed, way: Way) -> Result<Option<Run>> {
        let job = self.get(bed, way, &format!("pjob/{}", way.name())).await?;
        let run = &job["status"]["runs"][0];
        let holder = &run["holders"][0];
        if run["lease"] != "Held" || holder["pod"].is_null() {
            return Ok(None);
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let pod = text(&holder["pod"]).context("a pod has a name")?;
        let uid = text(&holder["uid"]).context("a pod has a UID")?;
        if processes(&uid, "sh").is_empty() {
            return Ok(None);
        }
        for of in ["file", "secret"] {
            let leases = self.leases(bed, way, of).await?;
            ensure!(leases == 1, "{}: {leases} leases of its {of}", way.name());
        }
        let shown = self.get(bed, way, &format!("pod/{pod}")).await?;
        let address = text(&shown["status"]["podIP"]);
        Ok(Some(Run {
            way,
            pod,
            uid,
            address: address.context("a pod has an address")?,
            triggered: Instant::now(),
            gone: [None; 2],
            untrue: None,
        }))
    }

    /// Makes a run end, and kills its agent where that is the trouble.
    async fn trigger(&self, bed: &Bed, trouble: Trouble, run: &mut Run) -> Result<()> {
        let kills_agent = trouble == Trouble::Agent;
        // An agent that ends before its job's container is started again.
        if kills_agent && !run.way.is_of_container() {
            signal(&run.uid, AGENT, Signal::SIGKILL)?;
        }
        run.triggered = Instant::now();
        self.end(bed, run).await?;
        if kills_agent && run.way.is_of_container() {
            while !processes(&run.uid, "sh").is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            signal(&run.uid, AGENT, Signal::SIGKILL)?;
        }
        Ok(())
    }

    /// Makes a run end.
    async fn end(&self, bed: &Bed, run: &Run) -> Result<()> {
        let forced = ["delete", "pod", &run.pod, "--force", "--grace-period=0"];
        let kubectl = async |arguments: &[&str]| self.kubectl(bed, run.way, arguments).await;
        match run.way {
            Way::Succeeds | Way::DeletedAtOnce => signal(&run.uid, "sh", Signal::SIGUSR1)?,
            Way::Fails => signal(&run.uid, "sh", Signal::SIGUSR2)?,
            Way::Killed => signal(&run.uid, "sh", Signal::SIGKILL)?,
            Way::OverDeadline => {
                let deadline = r#"{"spec":{"activeDeadlineSeconds":1}}"#;
                kubectl(&["patch", "job", run.job(), "--type=merge", "-p", deadline]).await?;
            }
            Way::Suspended => {
                let suspend = r#"{"spec":{"suspend":true}}"#;
                kubectl(&["patch", "job", run.job(), "--type=merge", "-p", suspend]).await?;
            }
            Way::PodDeleted => {
                kubectl(&["delete", "pod", &run.pod, "--wait=false"]).await?;
            }
            Way::Evicted => {
                let eviction = format!(
                    r#"{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{}"}}}}"#,
                    run.pod
                );
                let namespace = self.namespace(run.way);
                let path = format!("/api/v1/namespaces/{namespace}/pods/{}/eviction", run.pod);
                let post = ["create", "--raw", &path, "-f", "-"];
                let cluster = &bed.testbed.control_plane;
                cluster.kubectl_with_input(&post, &eviction).await?;
            }
            Way::JobDeleted => {
                let after_pods = "--cascade=foreground";
                kubectl(&["delete", "job", run.job(), after_pods, "--wait=false"]).await?;
            }
            Way::NamespaceDeleted => {
                let namespace = self.namespace(run.way);
                kubectl(&["delete", "namespace", &namespace, "--wait=false"]).await?;
            }
            Way::PlanescapeJobDeleted => {
                kubectl(&["delete", "pjob", run.way.name(), "--wait=false"]).await?;
            }
            Way::ForceDeleted => {
                kubectl(&forced).await?;
            }
            Way::NodeLost => {
                // An agent that was killed before hears nothing either.
                let _ = signal(&run.uid, AGENT, Signal::SIGSTOP);
                kubectl(&forced).await?;
            }
        }
        Ok(())
    }

    /// Notes leases that are gone from Vault's list. The claims of the status must be true by then.
    async fn look(&self, bed: &Bed, run: &mut Run, claimed: &[String]) {
        for (index, of) in ["file", "secret"].into_iter().enumerate() {
            if run.gone[index].is_some() {
                continue;
            }
            match self.leases(bed, run.way, of).await {
                Ok(0) => run.gone[index] = Some(Instant::now()),
                Ok(_) if claimed.iter().any(|name| name == run.way.name()) => {
                    run.untrue = Some("Revoked".to_owned());
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// The PlanescapeJobs whose status says that the leases of their run are revoked.
async fn claimed(namespaces: &[Api<PlanescapeJob>]) -> Result<Vec<String>> {
    let mut claimed = Vec::new();
    for jobs in namespaces {
        let all = jobs.list(&ListParams::default()).await?;
        let revoked = all.items.into_iter().filter(|job| {
            let runs = job.status.iter().flat_map(|status| &status.runs);
            let lease = runs.filter_map(|run| run.lease).next();
            matches!(lease, Some(Lease::Revoked | Lease::RevokedByOperator))
        });
        claimed.extend(revoked.map(|job| job.name_any()));
    }
    Ok(claimed)
}

/// Signals the eldest process of a pod that has this name: a child of a shell has the shell's name until it becomes
/// `sleep`.
fn signal(uid: &str, name: &str, signal: Signal) -> Result<()> {
    let eldest = processes(uid, name).into_iter().min();
    let eldest = eldest.with_context(|| format!("no process {name} in the pod"))?;
    Ok(kill(Pid::from_raw(eldest), signal)?)
}
