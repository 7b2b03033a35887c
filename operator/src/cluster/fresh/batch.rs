//! Reads PlanescapeJobs afresh, together where many are due at once: one list costs the API server less than
//! as many single reads, and answers as truly, because it begins after all of them have asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::job::identity::Identity;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::cluster::client::Clients;
use crate::cluster::gate::Class;
use crate::job::Error;

/// Fewer than this are read one by one.
const FEWEST: usize = 8;

/// A list of so many objects costs about as much as one read.
const LISTED_PER_READ: usize = 16;

/// Objects in one answer of the API server: so many are in memory at once.
const PAGE: u32 = 500;

/// More are waited for as long as they keep coming.
const QUIET: Duration = Duration::from_millis(4);

/// But no longer than this.
const LONGEST_WAIT: Duration = Duration::from_millis(60);

/// Reads PlanescapeJobs afresh.
pub(crate) struct Reader {
    batches: Arc<Batches>,
    /// One for each namespace that is asked about.
    answering: Mutex<JoinSet<()>>,
}

struct Batches {
    clients: Clients,
    /// By namespace.
    asked: Mutex<HashMap<String, Vec<Question>>>,
}

struct Question {
    name: String,
    answer: oneshot::Sender<Option<PlanescapeJob>>,
}

impl Reader {
    /// With clients of its own.
    pub(crate) fn new(clients: Clients) -> Self {
        Self {
            batches: Arc::new(Batches {
                clients,
                asked: Mutex::default(),
            }),
            answering: Mutex::default(),
        }
    }

    /// A PlanescapeJob as it is now; none when it is gone. `count` is how many there are in its namespace.
    pub(crate) async fn read(
        &self,
        identity: &Identity,
        count: usize,
    ) -> Result<Option<PlanescapeJob>, Error> {
        let read = match self.ask(identity, count).await {
            Ok(answer) => answer,
            // Too few have asked, or the list failed.
            Err(_) => self.get(identity).await?,
        };
        Ok(read.filter(|job| job.uid().as_ref() == Some(&identity.uid)))
    }

    async fn get(&self, identity: &Identity) -> Result<Option<PlanescapeJob>, Error> {
        let client = self.batches.clients.of(Class::Run);
        let api: Api<PlanescapeJob> = Api::namespaced(client, &identity.namespace);
        let read = api.get_opt(&identity.name).await;
        read.map_err(Error::reading("the PlanescapeJob"))
    }

    fn ask(&self, identity: &Identity, count: usize) -> oneshot::Receiver<Option<PlanescapeJob>> {
        let (answer, receiver) = oneshot::channel();
        let question = Question {
            name: identity.name.clone(),
            answer,
        };
        if self.batches.takes(&identity.namespace, question) {
            // In a task of its own: the first to ask may be cut off, and others wait as well.
            let batch = Batch {
                batches: self.batches.clone(),
                namespace: identity.namespace.clone(),
                is_open: true,
            };
            let answering = self.answering.lock();
            let mut answering = answering.unwrap_or_else(PoisonError::into_inner);
            while answering.try_join_next().is_some() {}
            answering.spawn(self.batches.clone().answer(batch, count));
        }
        receiver
    }
}

/// The questions about one namespace, as long as more of them are waited for.
struct Batch {
    batches: Arc<Batches>,
    namespace: String,
    is_open: bool,
}

impl Batch {
    fn close(&mut self) -> Vec<Question> {
        self.is_open = false;
        let questions = self.batches.asked().remove(&self.namespace);
        questions.unwrap_or_default()
    }
}

impl Drop for Batch {
    /// If the wait broke off, nothing waits for this batch, and the next question begins another one.
    fn drop(&mut self) {
        if self.is_open {
            self.close();
        }
    }
}

impl Batches {
    /// Says whether it is the first question of a batch.
    fn takes(&self, namespace: &str, question: Question) -> bool {
        let mut asked = self.asked();
        let questions = asked.entry(namespace.to_owned()).or_default();
        questions.push(question);
        questions.len() == 1
    }

    async fn answer(self: Arc<Self>, mut batch: Batch, count: usize) {
        self.wait_for_more(&batch.namespace).await;
        let questions = batch.close();
        let namespace = &batch.namespace;
        if questions.len() < FEWEST.max(count / LISTED_PER_READ) {
            return;
        }
        debug!(namespace, asked = questions.len(), "lists PlanescapeJobs");
        if let Err(error) = self.list(namespace, questions).await {
            debug!(namespace, "cannot list PlanescapeJobs: {error}");
        }
    }

    async fn wait_for_more(&self, namespace: &str) {
        let started = Instant::now();
        let count = || self.asked().get(namespace).map_or(0, Vec::len);
        let mut before = 0;
        while count() > before && started.elapsed() < LONGEST_WAIT {
            before = count();
            sleep(QUIET).await;
        }
    }

    async fn list(&self, namespace: &str, questions: Vec<Question>) -> kube::Result<()> {
        let client = self.clients.for_lists();
        let api: Api<DeserializeGuard<PlanescapeJob>> = Api::namespaced(client, namespace);
        let mut open: HashMap<String, Vec<Question>> = HashMap::new();
        for question in questions {
            open.entry(question.name.clone())
                .or_default()
                .push(question);
        }
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = api.list(&page).await?;
            for object in list.items {
                // An object that cannot be read is asked for alone, and fails alone.
                let name = object.name_any();
                let (Some(questions), Ok(job)) = (open.remove(&name), object.0) else {
                    continue;
                };
                for question in questions {
                    let _ = question.answer.send(Some(job.clone()));
                }
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) if !open.is_empty() => page = page.continue_token(&token),
                Some(_) | None => break,
            }
        }
        for question in open.into_values().flatten() {
            let _ = question.answer.send(None);
        }
        Ok(())
    }

    /// Nothing panics while it holds the lock.
    fn asked(&self) -> MutexGuard<'_, HashMap<String, Vec<Question>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;

    use http::{Request, Response};
    use kube::client::{Body, Client};
    use tokio::time::timeout;
    use tower::service_fn;

    use super::*;
    use crate::leader::Leadership;

    #[tokio::test]
    async fn a_batch_that_breaks_off_keeps_nobody_waiting() {
        let server = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
        let client = Client::new(server, "own");
        let reader = Reader::new(Clients::new(&client, &Leadership::without_election(), 2));
        let identity = Identity {
            namespace: "team".to_owned(),
            name: "my-job".to_owned(),
            uid: "u".to_owned(),
        };
        let patience = Duration::from_secs(5);
        for breaks_off in [true, false] {
            let answer = reader.ask(&identity, 1);
            if breaks_off {
                reader.answering.lock().unwrap().abort_all();
            }
            let answer = timeout(patience, answer).await.expect("it is over");
            assert!(answer.is_err(), "too few have asked");
        }
    }
}
