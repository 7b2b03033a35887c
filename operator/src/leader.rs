//! Which of several operators leads, by a Lease that they share.
//!
//! The election decides in `planescape-operator-core`; this task looks at the Lease, writes it, and tells
//! the rest of the operator. It looks through a watch while it waits, so that it leads at once when the
//! former leader resigns.

mod leadership;
mod lease;

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::{WatchStreamExt as _, watcher};
use planescape_operator_core::election::{Election, Record, Step};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub(crate) use leadership::moment;
pub use leadership::{Leadership, Term};
pub use lease::SharedLease;
use lease::Written;

/// A sleep is no longer than this: a timer does not see that a machine slept.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// An operator that leads or waits for its turn.
pub struct Candidate {
    lease: SharedLease,
    election: Election,
    term: Term,
}

/// This operator led, and another one leads now, or may lead soon.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("lost the lease: another operator leads, or may lead soon")]
pub struct Lost;

type Looks = watcher::Result<Option<Lease>>;

impl Candidate {
    /// The candidate of an operator whose parts learn from `term` whether it leads.
    pub fn new(lease: SharedLease, term: Term) -> Self {
        let election = Election::new(lease.identity.clone(), lease.timing);
        Self {
            lease,
            election,
            term,
        }
    }

    /// Waits for its turn and leads until `finished`, and lets somebody else lead then.
    ///
    /// # Errors
    ///
    /// When it led and somebody else leads now, or may lead soon. The process has to end then.
    pub async fn run(mut self, finished: CancellationToken) -> Result<(), Lost> {
        let work = async {
            self.stand_by().await;
            self.lead().await
        };
        tokio::select! {
            biased;
            () = finished.cancelled() => {}
            lost = work => return lost,
        }
        self.resign().await;
        Ok(())
    }

    /// Returns when it leads.
    async fn stand_by(&mut self) {
        let mut looks = pin!(self.lease.watch().default_backoff());
        let mut told = String::new();
        while !self.election.is_leading() {
            self.tell_holder(&mut told);
            match self.election.next(moment(), Timestamp::now()) {
                Step::Write(record) => {
                    if !self.write(record).await && !self.look().await {
                        tokio::time::sleep(self.lease.timing.retry_period()).await;
                    }
                }
                Step::Wait(until) => {
                    let wait = moment().until(until).min(LONGEST_SLEEP);
                    self.watch_for(wait, &mut looks).await;
                }
                Step::Lost => return,
            }
        }
    }

    async fn watch_for(&mut self, wait: Duration, looks: &mut (impl Stream<Item = Looks> + Unpin)) {
        match timeout(wait, looks.next()).await {
            Ok(Some(Ok(lease))) => self.see(lease),
            Ok(Some(Err(error))) => {
                debug!("cannot watch the lease: {error}");
                // Without a watch it looks for itself.
                self.look().await;
                tokio::time::sleep(wait).await;
            }
            Ok(None) | Err(_) => {}
        }
    }

    /// Returns when it does not lead any more.
    async fn lead(&mut self) -> Result<(), Lost> {
        info!(identity = self.lease.identity, "leads");
        loop {
            match self.election.next(moment(), Timestamp::now()) {
                Step::Write(record) => {
                    if !self.write(record).await {
                        self.look().await;
                    }
                }
                Step::Wait(until) => {
                    let wait = moment().until(until).min(LONGEST_SLEEP);
                    tokio::time::sleep(wait).await;
                }
                Step::Lost => {
                    self.term.end();
                    return Err(Lost);
                }
            }
        }
    }

    /// Whether it was written. The leader may have changed either way.
    async fn write(&mut self, record: Record) -> bool {
        let sent = moment();
        let written = self.lease.write(&record).await;
        let is_written = match written {
            Ok(Written::Done) => {
                self.election.wrote(record, sent);
                true
            }
            Ok(Written::TooLate) => {
                self.election.failed(sent);
                false
            }
            Err(error) => {
                warn!("cannot write the lease: {error:#}");
                self.election.failed(sent);
                false
            }
        };
        self.term.set(self.election.may_write_until());
        is_written
    }

    /// Whether it could be seen.
    async fn look(&mut self) -> bool {
        match self.lease.read().await {
            Ok(lease) => {
                self.see(lease);
                true
            }
            Err(error) => {
                warn!("cannot read the lease: {error:#}");
                false
            }
        }
    }

    fn see(&mut self, lease: Option<Lease>) {
        let record = self.lease.keep(lease);
        self.election.see(record, moment());
        self.term.set(self.election.may_write_until());
    }

    fn tell_holder(&self, told: &mut String) {
        let holder = self.lease.holder();
        if holder != told {
            holder.clone_into(told);
            if !holder.is_empty() {
                info!(holder, "stands by");
            }
        }
    }

    async fn resign(&mut self) {
        self.term.end();
        let mut written = self.release().await;
        if matches!(written, Some(Ok(Written::TooLate))) && self.look().await {
            // A renewal that was on its way may have been written, although its answer was not heard.
            written = self.release().await.or(written);
        }
        match written {
            None => {}
            Some(Ok(Written::Done)) => info!("released the lease"),
            Some(Ok(Written::TooLate)) => info!("somebody else holds the lease"),
            Some(Err(error)) => warn!("cannot release the lease: {error:#}"),
        }
    }

    /// Lets somebody else lead; nothing where somebody else does.
    async fn release(&mut self) -> Option<anyhow::Result<Written>> {
        let record = self.election.resign(Timestamp::now())?;
        Some(self.lease.write(&record).await)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use kube::Client;
    use kube::client::Body;
    use planescape_operator_core::election::Timing;
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn a_renewal_of_which_nobody_heard_does_not_keep_the_lease() {
        for (holder, left) in [("we", ""), ("they", "they")] {
            let server = Arc::new(Mutex::new(lease("we", "1")));
            let mut candidate = candidate(server.clone());
            let read = candidate.lease.read().await.unwrap();
            let record = candidate.lease.keep(read).unwrap();
            candidate.election.wrote(record, moment());
            // Written by us while its answer was not heard, or by somebody else.
            *server.lock().unwrap() = lease(holder, "2");

            candidate.resign().await;

            let holder = server.lock().unwrap()["spec"]["holderIdentity"].clone();
            assert_eq!(holder.as_str().unwrap_or_default(), left);
        }
    }

    fn candidate(server: Arc<Mutex<Value>>) -> Candidate {
        let seconds = Duration::from_secs;
        let timing = Timing::new(seconds(15), seconds(10), seconds(2)).unwrap();
        let place = ("team", "planescape-operator");
        let lease = SharedLease::new(serving(server), place, "we".to_owned(), timing);
        Candidate::new(lease, Term::new().0)
    }

    fn lease(holder: &str, version: &str) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": "planescape-operator", "resourceVersion": version },
            "spec": { "holderIdentity": holder, "leaseDurationSeconds": 15 },
        })
    }

    /// Replaces the Lease if the present one is meant, and refuses anything else.
    fn serving(server: Arc<Mutex<Value>>) -> Client {
        let service = tower::service_fn(move |call: Request<Body>| {
            let server = server.clone();
            async move {
                let is_write = call.method() == Method::PUT;
                let body = call.into_body().collect_bytes().await.unwrap();
                let mut lease = server.lock().unwrap();
                if is_write {
                    let written: Value = serde_json::from_slice(&body).unwrap();
                    let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
                    if version(&written) != version(&lease) {
                        let refused = json!({ "kind": "Status", "status": "Failure",
                            "reason": "Conflict", "message": "too late", "code": 409 });
                        return Ok(answer(409, &refused));
                    }
                    *lease = written;
                }
                Ok::<_, std::convert::Infallible>(answer(200, &lease))
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
