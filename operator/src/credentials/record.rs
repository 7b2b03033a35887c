//! The record of a run's token: a Secret in the program's own namespace, one for each run, so that the token
//! survives a restart. It is read by name alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use planescape_agent_contract::Access;
use planescape_operator_core::api::names::{JOB_LABEL, MANAGED_BY_LABEL, MANAGER};
use planescape_operator_core::credentials::left::Place;
use planescape_operator_core::credentials::life::Life;
use planescape_operator_core::credentials::run::Run;
use planescape_vault::SecretText;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::warn;

use crate::cluster::client::Clients;
use crate::cluster::gate::Class;
use crate::job::post_params;

const TOKEN: &str = "token";
const STATE: &str = "state";

/// The records.
pub(super) struct Records {
    runs: Api<Secret>,
    /// For what must be done however many runs wait.
    ends: Api<Secret>,
}

/// A run's token and leases.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) token: SecretText,
    pub(super) state: State,
}

/// The record beside the token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State {
    pub(super) accessor: String,
    /// The Vault that knows the token, also after an edit of the order on the Job.
    #[serde(default)]
    pub(super) place: Option<Place>,
    pub(super) life: Life,
    pub(super) leases: Vec<LeaseRecord>,
    /// How many answers may have brought leases that are not in the list; one of them may be on its way.
    #[serde(default)]
    pub(super) unheard: usize,
    /// Whether this is not the run's first token, and the one before is lost.
    #[serde(default)]
    pub(super) has_lost: bool,
}

/// One lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LeaseRecord {
    pub(super) id: String,
    pub(super) life: Life,
    /// The read that it came of.
    #[serde(default)]
    pub(super) access: Option<Access>,
}

impl Record {
    /// Reads a record. If somebody has broken its state, only the token is known, and that it may have leases.
    fn of(secret: Secret, now: Timestamp) -> Option<Self> {
        let mut data = secret.data?;
        let token = String::from_utf8(data.remove(TOKEN)?.0).ok()?;
        let token = Some(token).filter(|token| !token.is_empty())?;
        let state = data.get(STATE);
        let state = state.and_then(|state| serde_json::from_slice(&state.0).ok());
        Some(Self {
            token: SecretText::new(token),
            state: state.unwrap_or_else(|| State {
                accessor: String::new(),
                place: None,
                life: Life::new(now, 0, true),
                leases: Vec::new(),
                unheard: 1,
                has_lost: false,
            }),
        })
    }
}

impl Records {
    pub(super) fn new(clients: &Clients, namespace: &str) -> Self {
        let api = |class| Api::namespaced(clients.of(class), namespace);
        Self {
            runs: api(Class::Run),
            ends: api(Class::Record),
        }
    }

    /// The record of a run. A record without a token is of no use, and would keep another one from being written.
    pub(super) async fn read(&self, run: &Run) -> kube::Result<Option<Record>> {
        let Some(secret) = self.runs.get_opt(&name(run)).await? else {
            return Ok(None);
        };
        let record = Record::of(secret, Timestamp::now());
        if record.is_none() {
            warn!(
                job = run.job,
                namespace = run.owner.namespace,
                "deletes a record that holds no token"
            );
            self.delete(run).await?;
        }
        Ok(record)
    }

    pub(super) async fn create(&self, run: &Run, record: &Record) -> kube::Result<()> {
        let token = record.token.expose().as_bytes().to_vec();
        let data = [
            (TOKEN.to_owned(), ByteString(token)),
            (STATE.to_owned(), ByteString(encoded(&record.state))),
        ];
        let owner = &run.owner;
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let run_of = format!("{}/{}", owner.namespace, run.job);
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name(run)),
                labels: Some(BTreeMap::from([
                    label(MANAGED_BY_LABEL, MANAGER),
                    label(JOB_LABEL, &owner.name),
                ])),
                annotations: Some(BTreeMap::from([label("planescape.io/run", &run_of)])),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from(data)),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        self.runs.create(&post_params(), &secret).await.map(drop)
    }

    /// Writes the leases; the token stays as it is. A record that somebody has deleted is made anew.
    pub(super) async fn update(&self, run: &Run, record: &Record) -> kube::Result<()> {
        let state = ByteString(encoded(&record.state));
        self.patch(run, record, json!({ "data": { STATE: state } }))
            .await
    }

    async fn patch(&self, run: &Run, record: &Record, patch: Value) -> kube::Result<()> {
        let patch = Patch::Merge(patch);
        let (name, parameters) = (name(run), PatchParams::default());
        match self.runs.patch(&name, &parameters, &patch).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                self.create(run, record).await
            }
            written => written.map(drop),
        }
    }

    /// Writes another token in place of one that has ended.
    pub(super) async fn replace(&self, run: &Run, record: &Record) -> kube::Result<()> {
        let token = ByteString(record.token.expose().as_bytes().to_vec());
        let state = ByteString(encoded(&record.state));
        let data = json!({ "data": { TOKEN: token, STATE: state } });
        self.patch(run, record, data).await
    }

    pub(super) async fn delete(&self, run: &Run) -> kube::Result<()> {
        let name = name(run);
        let parameters = DeleteParams::default();
        match self.ends.delete(&name, &parameters).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            deleted => deleted.map(drop),
        }
    }
}

fn encoded(state: &State) -> Vec<u8> {
    serde_json::to_vec(state).expect("a record is plain data")
}

/// A UID, which no other Job ever has.
fn name(run: &Run) -> String {
    format!("planescape-run-{}", run.uid)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use futures::future::join_all;
    use http::{Method, Request, Response};
    use kube::client::{Body, Client};
    use planescape_operator_core::credentials::Order;
    use planescape_operator_core::credentials::run::{Lock, Stage};
    use planescape_operator_core::job::identity::Identity;
    use tower::service_fn;

    use super::*;
    use crate::leader::Leadership;

    /// Many runs of one instant have this effect on an API server with a slow webhook.
    #[tokio::test(start_paused = true)]
    async fn a_record_may_wait_for_its_turn_for_longer_than_a_call_may_take() {
        let server = service_fn(|_: Request<Body>| async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            let done = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}"#;
            Ok::<_, Infallible>(Response::new(Body::from(done.as_bytes().to_vec())))
        });
        let client = Client::new(server, "own");
        let clients = Clients::new(&client, &Leadership::without_election(), 2);
        let records = Records::new(&clients, "own");
        let run = run();

        let deletions = join_all((0..6).map(|_| records.delete(&run))).await;

        assert!(deletions.iter().all(Result::is_ok), "{deletions:?}");
    }

    #[tokio::test]
    async fn a_record_that_somebody_has_deleted_is_made_anew_with_its_token() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let server = service_fn(move |request: Request<Body>| {
            let method = request.method().clone();
            seen.lock().unwrap().push(method.clone());
            let (code, body) = match method {
                Method::POST => (
                    201_u16,
                    r#"{"kind":"Secret","apiVersion":"v1","metadata":{}}"#,
                ),
                _ => (404, NOT_FOUND),
            };
            let answer = Response::builder().status(code);
            let answer = answer.body(Body::from(body.as_bytes().to_vec())).unwrap();
            async move { Ok::<_, Infallible>(answer) }
        });
        let client = Client::new(server, "own");
        let clients = Clients::new(&client, &Leadership::without_election(), 2);
        let records = Records::new(&clients, "own");
        let record = Record {
            token: SecretText::new("t".to_owned()),
            state: State {
                accessor: "a".to_owned(),
                place: None,
                life: Life::new(Timestamp::UNIX_EPOCH, 60, true),
                leases: Vec::new(),
                unheard: 0,
                has_lost: false,
            },
        };

        records.update(&run(), &record).await.unwrap();

        assert_eq!(*asked.lock().unwrap(), [Method::PATCH, Method::POST]);
    }

    const NOT_FOUND: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"NotFound","code":404}"#;

    fn run() -> Run {
        Run {
            owner: Identity {
                namespace: "team".to_owned(),
                name: "my-job".to_owned(),
                uid: "u".to_owned(),
            },
            job: "my-job-1".to_owned(),
            uid: "j".to_owned(),
            service_account: "default".to_owned(),
            order: Order {
                address: "http://vault:8200".to_owned(),
                namespace: None,
                auth_path: "auth/kubernetes".to_owned(),
                role: "runs".to_owned(),
                secrets: Vec::new(),
            },
            lock: Lock::Suspended,
            stage: Stage::Waiting,
            is_claimed: false,
            told: None,
        }
    }

    #[test]
    fn a_record_that_somebody_has_broken_gives_its_token_and_doubts_its_leases() {
        let now = Timestamp::UNIX_EPOCH;
        let record = |data: &[(&str, &str)]| {
            let data = data.iter();
            let data = data.map(|(key, text)| {
                let bytes = text.as_bytes().to_vec();
                ((*key).to_owned(), ByteString(bytes))
            });
            let secret = Secret {
                data: Some(data.collect()),
                ..Secret::default()
            };
            Record::of(secret, now)
        };

        let broken = record(&[(TOKEN, "t"), (STATE, "{")]).unwrap();
        assert_eq!((broken.token.expose(), broken.state.unheard), ("t", 1));
        assert!(record(&[(TOKEN, ""), (STATE, "{}")]).is_none());
        assert!(record(&[(STATE, "{}")]).is_none());
    }
}
