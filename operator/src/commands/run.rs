//! `planescape run`: asks the operator for a run by hand.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::RERUN_ANNOTATION;
use planescape_operator_core::job::plan::waiting_rerun;
use planescape_operator_core::run::{Request, rerun_id};
use serde_json::json;

use crate::cluster::client;

/// The usage that is shown after a mistake on the command line.
const USAGE: &str = "planescape run NAME [--namespace=NAME] [--args=ARG]... [--env=NAME=VALUE]...";

const EXAMPLES: &str = "Examples:
  planescape run nightly -n reports
  planescape run nightly --args=--verbose --args=2026-11-24 --env LEVEL=debug";

/// Which PlanescapeJob, and what is other than usual.
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub struct Run {
    /// The PlanescapeJob.
    #[arg(value_name = "NAME")]
    name: String,

    /// Its namespace; the kubeconfig's when absent.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// An argument of the first container; write --args for each of them. Together they stand in the place of the
    /// template's. One that begins with a dash is written as --args=-v.
    #[arg(long, value_name = "ARG")]
    args: Vec<String>,

    /// A variable of the first container. No secrets: it stands in the PlanescapeJob's annotations.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = super::template::variable)]
    variables: Vec<(String, String)>,
}

/// How long an earlier request is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(200);

impl Run {
    /// Asks, and says what the Job will be called.
    ///
    /// # Errors
    /// A PlanescapeJob that is not there or cannot run, one whose last request still waits, and an API server that does
    /// not answer.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = client::connect().await?;
        let job = self.ask(client, Timestamp::now(), PATIENCE).await?;
        let mut output = std::io::stdout().lock();
        writeln!(output, "{job}")?;
        Ok(ExitCode::SUCCESS)
    }

    async fn ask(
        self,
        client: Client,
        now: Timestamp,
        patience: Duration,
    ) -> anyhow::Result<String> {
        let namespace = client::namespace(&client, self.namespace);
        let name = &self.name;
        let api: Api<PlanescapeJob> = Api::namespaced(client, &namespace);
        let request = Request {
            token: now.to_string(),
            args: (!self.args.is_empty()).then_some(self.args),
            env: self.variables.into_iter().collect(),
        };
        let started = Instant::now();
        loop {
            let job = look(&api, (name.as_str(), namespace.as_str())).await?;
            let uid = job.metadata.uid.as_deref();
            let uid = uid.context("the API server gave no UID")?;
            let waiting = waiting_rerun(&job);
            let asked = match &waiting {
                Some(_) => None,
                None => write(&api, &job, &request).await?,
            };
            if asked.is_some() {
                return Ok(format!("{name}-{}", rerun_id(uid, &request.token)));
            }
            if started.elapsed() >= patience {
                match waiting {
                    Some(id) => bail!(
                        "an earlier request still waits for its run, Job {name}-{id}, and another one would take its place; \
                        to withdraw it: kubectl annotate planescapejob {name} -n {namespace} {RERUN_ANNOTATION}-"
                    ),
                    None => bail!("PlanescapeJob {name} changes all the time: try again"),
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The PlanescapeJob as it is, if it can run.
async fn look(
    api: &Api<PlanescapeJob>,
    (name, namespace): (&str, &str),
) -> anyhow::Result<PlanescapeJob> {
    let found = api.get_opt(name).await;
    let found = found.with_context(|| format!("cannot read PlanescapeJob {name}"))?;
    let job = found.ok_or_else(|| {
        anyhow!(
            "there is no PlanescapeJob {name} in namespace {namespace}; see: kubectl get planescapejobs -n {namespace}"
        )
    })?;
    let status = job.status.as_ref();
    if status.is_none_or(|status| status.schedule_reference.is_none()) {
        bail!(
            "no operator has seen PlanescapeJob {name} yet; see: kubectl describe planescapejob {name} -n {namespace}"
        );
    }
    let conditions = status.iter().flat_map(|status| &status.conditions);
    let mut stalled = conditions.filter(|it| it.type_ == "Stalled" && it.status == "True");
    if let Some(stalled) = stalled.find(|it| it.reason.starts_with("Invalid")) {
        bail!("PlanescapeJob {name} cannot run: {}", stalled.message);
    }
    Ok(job)
}

/// Asks for a run, unless somebody has changed the PlanescapeJob since it was read: it may have another request.
async fn write(
    api: &Api<PlanescapeJob>,
    job: &PlanescapeJob,
    request: &Request,
) -> anyhow::Result<Option<PlanescapeJob>> {
    let metadata = &job.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let patch = json!({ "metadata": {
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "annotations": { RERUN_ANNOTATION: request.text() },
    } });
    let asked = api
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    match asked {
        Ok(asked) => Ok(Some(asked)),
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot ask PlanescapeJob {name} for a run"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use clap::Parser as _;
    use http::{Method, Request as Call, Response};
    use kube::client::Body;
    use serde_json::Value;

    use super::*;
    use crate::args::{Arguments, Command};

    #[tokio::test]
    async fn a_request_takes_no_other_ones_place() {
        let server = Arc::new(Mutex::new(job()));

        let first = ask(&server, "2026-11-24T10:00:00Z").await.unwrap();
        let second = ask(&server, "2026-11-24T10:00:01Z").await.unwrap_err();

        assert!(second.to_string().contains(&first), "{second}");
        let id = first.strip_prefix("my-job-").unwrap();
        server.lock().unwrap()["status"]["reruns"] = json!([id]);
        let third = ask(&server, "2026-11-24T10:00:02Z").await.unwrap();
        assert_ne!(third, first);
    }

    #[tokio::test]
    async fn a_request_is_written_over_nothing_that_was_not_read() {
        let server = Arc::new(Mutex::new(job()));
        server.lock().unwrap()["beaten"] = json!(true);

        let asked = ask(&server, "2026-11-24T10:00:00Z").await.unwrap_err();

        assert!(asked.to_string().contains("try again"), "{asked}");
    }

    #[test]
    fn each_argument_is_written_for_itself_wherever_the_name_stands() {
        let parse = |arguments: &[&str]| {
            let arguments = [&["planescape", "run"], arguments].concat();
            Arguments::try_parse_from(arguments)
        };
        for arguments in [
            ["--args", "x", "--args=-v", "my-job"],
            ["my-job", "--args", "x", "--args=-v"],
        ] {
            let Command::Run(run) = parse(&arguments).unwrap().command else {
                panic!("another command");
            };
            assert_eq!(
                (&*run.name, run.args),
                ("my-job", vec!["x".to_owned(), "-v".to_owned()])
            );
        }
        let error = parse(&["my-job", "--args", "a", "b"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("'b'") && error.contains("[--args=ARG]..."),
            "{error}"
        );
    }

    fn job() -> Value {
        json!({
            "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
            "metadata": { "name": "my-job", "namespace": "team", "uid": "u", "resourceVersion": "1" },
            "spec": { "schedule": "@hourly", "jobTemplate": {} },
            "status": { "scheduleReference": {
                "schedule": "@hourly UTC", "since": "2026-11-24T09:00:00Z",
            } },
        })
    }

    async fn ask(server: &Arc<Mutex<Value>>, now: &str) -> anyhow::Result<String> {
        let run = Run {
            name: "my-job".to_owned(),
            namespace: None,
            args: Vec::new(),
            variables: Vec::new(),
        };
        let client = serving(server.clone());
        run.ask(client, now.parse().unwrap(), Duration::ZERO).await
    }

    /// Answers a patch of the present object; refuses one if somebody was quicker.
    fn serving(server: Arc<Mutex<Value>>) -> Client {
        let service = tower::service_fn(move |call: Call<Body>| {
            let server = server.clone();
            async move {
                let is_patch = call.method() == Method::PATCH;
                let body = call.into_body().collect_bytes().await.unwrap();
                let mut job = server.lock().unwrap();
                if is_patch {
                    let patch: Value = serde_json::from_slice(&body).unwrap();
                    let read = &patch["metadata"]["resourceVersion"];
                    if job["beaten"] == true || *read != job["metadata"]["resourceVersion"] {
                        let refused = json!({ "kind": "Status", "status": "Failure", "reason": "Conflict",
                            "message": "somebody was quicker", "code": 409 });
                        return Ok(answer(409, &refused));
                    }
                    job["metadata"]["annotations"] = patch["metadata"]["annotations"].clone();
                    job["metadata"]["resourceVersion"] = json!("2");
                }
                Ok::<_, std::convert::Infallible>(answer(200, &job))
            }
        });
        Client::new(service, "team")
    }

    fn answer(code: u16, body: &Value) -> Response<Body> {
        let body = serde_json::to_vec(body).unwrap();
        let answer = Response::builder().status(code).body(Body::from(body));
        answer.unwrap()
    }
}
