//! One scenario on one side, with a Vault of its own.

use std::convert::Infallible;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use planescape_tests::address;
use planescape_tests::postgres::Postgres;
use planescape_tests::run_folder::RunFolder;
use planescape_tests::vault::{ROOT_TOKEN, Tls, Vault};
use serde_json::{Value, json};

use crate::outcome::{self, Outcome};
use crate::scenario::{Ask, Content, Scenario, Step, Write};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an agent may take to end after a signal.
const GRACE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    Theirs,
    Ours,
}

/// The two programs.
pub(crate) struct Agents {
    pub(crate) theirs: PathBuf,
    pub(crate) ours: PathBuf,
}

struct Run<'a> {
    scenario: &'a Scenario,
    folder: PathBuf,
    vault: Vault,
    http: reqwest::Client,
    /// The address that the agent may listen on.
    listen: SocketAddr,
    log: PathBuf,
    /// The answers of the agent's listener.
    answers: Mutex<Vec<String>>,
}

pub(crate) async fn run(scenario: &Scenario, side: Side, agents: &Agents) -> Result<Outcome> {
    let run_folder = RunFolder::create()?;
    let vault = Vault::start(&run_folder, IpAddr::V4(Ipv4Addr::LOCALHOST), Tls::Off).await?;
    let folder = run_folder.subfolder("run")?;
    let postgres = match scenario.database {
        true => Some(Postgres::start(&run_folder, IpAddr::V4(Ipv4Addr::LOCALHOST)).await?),
        false => None,
    };
    if let Some(postgres) = &postgres {
        vault.serve_credentials_of(postgres).await?;
    }
    let run = Run {
        scenario,
        folder: folder.clone(),
        vault,
        http: reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()?,
        listen: address::free(IpAddr::V4(Ipv4Addr::LOCALHOST))?,
        log: run_folder.subfolder("log")?.join("agent.log"),
        answers: Mutex::default(),
    };
    run.prepare().await?;
    let given = outcome::files(&folder, |text| run.plain(text))?;
    let before = run.vault.requests()?;
    let root = before.first().and_then(|entry| entry.accessor.clone());
    let before = before.len();
    let program = match side {
        Side::Theirs => &agents.theirs,
        Side::Ours => &agents.ours,
    };
    let log = run.log.clone();
    let mut agent = Process(run.start(program, &scenario.args)?);
    let stuck = run.follow(&mut agent, program).await.err();
    let status = agent.end().await?;
    let mut outcome = Outcome {
        code: status.and_then(|status| status.code()),
        files: outcome::files(&folder, |text| run.plain(text))?,
        log: run.plain(&fs::read_to_string(&log)?),
        requests: Vec::new(),
        answers: run.answers.lock().expect("no panic").clone(),
        stuck: stuck.map(|error| format!("{error:#}")),
    };
    for (name, file) in &mut outcome.files {
        if given.get(name) == Some(file) {
            "as it was".clone_into(file);
        }
    }
    // Vault answers before it writes its log.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let requests = run.vault.requests()?;
    let asked = requests.iter().skip(before);
    // Requests of the steps themselves do not count.
    let asked = asked.filter(|entry| entry.accessor.is_none() || entry.accessor != root);
    outcome.requests = asked
        .map(|entry| (entry.operation.clone(), entry.path.clone()))
        .collect();
    Ok(outcome)
}

impl Run<'_> {
    fn text(&self, text: &str) -> String {
        let folder = self.folder.display().to_string();
        text.replace("${DIR}", &folder)
            .replace("${ADDR}", &self.vault.url())
            .replace("${LISTEN}", &self.listen.to_string())
            .replace("${LONG}", &"long".repeat(750))
    }

    /// The same text with the names in place of their values.
    fn plain(&self, text: &str) -> String {
        let folder = self.folder.display().to_string();
        let text = text.replace(&folder, "${DIR}");
        let text = text.replace(&self.vault.url(), "${ADDR}");
        outcome::without_tokens(&text.replace(&self.listen.to_string(), "${LISTEN}"))
    }

    fn json(&self, value: &Value) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(&value.to_string()))?)
    }

    async fn prepare(&self) -> Result<()> {
        let secret = json!({"data": {"user": "ann", "password": "p-1"}});
        self.vault.write("kv/data/app", &secret).await?;
        self.vault
            .write("secret-v1/app", &json!({"user": "bob"}))
            .await?;
        for write in &self.scenario.vault {
            self.write(write).await?;
        }
        for (name, content) in &self.scenario.files {
            self.put(name, content).await?;
        }
        fs::create_dir_all(self.folder.join("out"))?;
        if !self.scenario.config.is_empty() {
            let config = self.text(&self.scenario.config);
            fs::write(self.folder.join("agent.hcl"), config)?;
        }
        Ok(())
    }

    async fn write(&self, write: &Write) -> Result<Value> {
        let path = write.write.clone();
        self.vault.write(&path, &self.json(&write.body)?).await
    }

    async fn put(&self, name: &str, content: &Content) -> Result<()> {
        let text = match content {
            Content::Text(text) => self.text(text),
            Content::Answer(answer) => {
                let (method, path) = match (&answer.read, &answer.write) {
                    (Some(path), _) => (reqwest::Method::GET, path),
                    (None, Some(path)) => (reqwest::Method::PUT, path),
                    (None, None) => bail!("{name}: neither read nor write"),
                };
                let url = format!("{}/v1/{path}", self.vault.url());
                let mut request = self.http.request(method, url);
                request = request.header("X-Vault-Token", ROOT_TOKEN);
                if let Some(ttl) = &answer.wrap_ttl {
                    request = request.header("X-Vault-Wrap-TTL", ttl);
                }
                if !answer.body.is_null() {
                    request = request.json(&self.json(&answer.body)?);
                }
                let found: Value = request.send().await?.json().await?;
                let text = found.pointer(&answer.pointer).and_then(Value::as_str);
                text.with_context(|| format!("{name}: {found}"))?.to_owned()
            }
        };
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let half = path.with_extension("half");
        fs::write(&half, text)?;
        Ok(fs::rename(half, path)?)
    }

    fn start(&self, program: &Path, args: &[String]) -> Result<Child> {
        let mut output = fs::OpenOptions::new();
        let output = output.create(true).append(true).open(&self.log)?;
        let config = "-config=${DIR}/agent.hcl".to_owned();
        let args = match args {
            [] => std::slice::from_ref(&config),
            args => args,
        };
        let mut command = match &self.scenario.umask {
            None => Command::new(program),
            Some(umask) => {
                let mut shell = Command::new("/bin/sh");
                let becomes = format!("umask {umask} && exec \"$0\" \"$@\"");
                shell.arg("-c").arg(becomes).arg(program);
                shell
            }
        };
        command
            .arg("agent")
            .args(args.iter().map(|word| self.text(word)))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.folder)
            .envs(self.scenario.env.iter().map(|(k, v)| (k, self.text(v))))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        command
            .spawn()
            .with_context(|| program.display().to_string())
    }

    async fn follow(&self, agent: &mut Process, program: &Path) -> Result<()> {
        for step in &self.scenario.steps {
            match step {
                Step::File(name) => {
                    let path = self.folder.join(name);
                    until(agent, || path.exists())
                        .await
                        .with_context(|| format!("{step:?}"))?;
                }
                Step::Gone(name) => {
                    let path = self.folder.join(name);
                    until(agent, || !path.exists())
                        .await
                        .with_context(|| format!("{step:?}"))?;
                }
                Step::Holds { file, text } => {
                    let (path, text) = (self.folder.join(file), self.text(text));
                    let holds = || fs::read_to_string(&path).is_ok_and(|it| it == text);
                    until(agent, holds)
                        .await
                        .with_context(|| format!("{step:?}"))?;
                }
                Step::Logged(text) => {
                    let has = || fs::read_to_string(&self.log).is_ok_and(|log| log.contains(text));
                    until(agent, has)
                        .await
                        .with_context(|| format!("{step:?}"))?;
                }
                Step::Quiet(milliseconds) => {
                    self.until_quiet(agent, Duration::from_millis(*milliseconds))
                        .await?;
                }
                Step::Milliseconds(count) => {
                    tokio::time::sleep(Duration::from_millis(*count)).await;
                }
                Step::Write(write) => drop(self.write(write).await?),
                Step::Put { file, content } => self.put(file, content).await?,
                Step::Ask(ask) => {
                    let answer = self.ask(ask).await.with_context(|| format!("{step:?}"))?;
                    self.answers.lock().expect("no panic").push(answer);
                }
                Step::Signal(name) => agent.signal(Signal::from_str(name)?)?,
                Step::Ends => agent
                    .until_ended(PATIENCE)
                    .await
                    .context("it does not end")?,
                Step::Again(args) => {
                    let args = if args.is_empty() {
                        &self.scenario.args
                    } else {
                        args
                    };
                    *agent = Process(self.start(program, args)?);
                }
            }
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Waits until log and files have not changed for a while, or the agent has ended.
    async fn until_quiet(&self, agent: &mut Process, pause: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut since = Instant::now();
        let mut last = None;
        while since.elapsed() < pause && begun.elapsed() < PATIENCE {
            if agent.0.try_wait()?.is_some() {
                return Ok(());
            }
            let log = fs::metadata(&self.log)?.len();
            let now = Some((log, outcome::files(&self.folder, str::to_owned)?));
            if now != last {
                (last, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Waits for the listener, too.
    async fn ask(&self, ask: &Ask) -> Result<String> {
        let method = reqwest::Method::from_bytes(ask.method.as_bytes())?;
        let client = reqwest::Client::builder().no_proxy();
        let client = match &ask.socket {
            Some(socket) => client.unix_socket(self.folder.join(socket)),
            None => client,
        };
        let client = client.build()?;
        let url = format!("http://{}{}", self.listen, self.text(&ask.path));
        let begun = Instant::now();
        loop {
            let mut request = client.request(method.clone(), &url);
            for (name, value) in &ask.headers {
                request = request.header(name, self.text(value));
            }
            let body = self.text(&ask.body);
            let body = match ask.chunked {
                true => reqwest::Body::wrap(StreamBody::new(stream::iter([Ok::<_, Infallible>(
                    Frame::data(Bytes::from(body)),
                )]))),
                false => body.into(),
            };
            match request.body(body).send().await {
                Ok(answer) => return outcome::answer(ask, answer).await,
                Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// Ended when dropped.
struct Process(Child);

impl Process {
    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.0.id())?), signal)?)
    }

    async fn until_ended(&mut self, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        while self.0.try_wait()?.is_none() {
            if begun.elapsed() > patience {
                bail!("still running after {patience:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Asks it to end, if it has not; `None` where it does not.
    async fn end(&mut self) -> Result<Option<ExitStatus>> {
        if let Some(status) = self.0.try_wait()? {
            return Ok(Some(status));
        }
        self.signal(Signal::SIGTERM)?;
        let begun = Instant::now();
        while begun.elapsed() < GRACE {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(None)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn until(agent: &mut Process, is_so: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_so() {
        if let Some(status) = agent.0.try_wait()? {
            // It may have been the last thing that it did.
            if is_so() {
                return Ok(());
            }
            bail!("the agent ended with {status}");
        }
        if begun.elapsed() > PATIENCE {
            bail!("not so after {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
