//! One agent process, in a folder of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use planescape_tests::testbed::Cluster;
use planescape_tests::vault::Entry;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The text of the guide's template.
pub(crate) const DATABASE: &str = "{{- with secret \"database/creds/readonly\" -}}\n{{ .Data.username }} {{ .Data.password }}\n{{- end -}}";

/// The folder of one agent's files.
pub(crate) struct Place {
    folder: TempDir,
    address: String,
    role: String,
    templates: Vec<(String, String)>,
    settings: String,
    retries: Option<u32>,
    environment: Vec<(String, String)>,
}

impl Place {
    /// A place whose agent logs in as `default` of the namespace `default`.
    pub(crate) async fn new(cluster: &Cluster) -> Self {
        let token = cluster
            .control_plane
            .service_account_token("default", "default")
            .await
            .unwrap();
        let place = Self::offline(&cluster.vault.url());
        fs::write(place.path("jwt"), token).unwrap();
        place
    }

    /// A place without a ServiceAccount token.
    pub(crate) fn offline(address: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            address: address.to_owned(),
            role: "database-reader".to_owned(),
            templates: Vec::new(),
            settings: String::new(),
            retries: None,
            environment: Vec::new(),
        }
    }

    /// At another Vault than the cluster's.
    pub(crate) fn at(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// With a listener without TLS at this address.
    pub(crate) fn listening(self, address: SocketAddr) -> Self {
        self.setting(&format!(
            "listener \"tcp\" {{ address = \"{address}\" tls_disable = true }}"
        ))
    }

    pub(crate) fn role(mut self, role: &str) -> Self {
        role.clone_into(&mut self.role);
        self
    }

    pub(crate) fn template(mut self, file: &str, text: &str) -> Self {
        self.templates.push((file.to_owned(), text.to_owned()));
        self
    }

    /// More lines of the configuration.
    pub(crate) fn setting(mut self, line: &str) -> Self {
        self.settings.push_str(line);
        self.settings.push('\n');
        self
    }

    /// Without a ledger, and what else is set by default.
    pub(crate) fn revoking(self) -> Self {
        self.setting(
            r#"planescape {
              revoke_on_exit = true
              termination_log = "FOLDER/report"
              ready_socket = "FOLDER/ready.sock"
            }"#,
        )
    }

    /// How often a failed request is tried again before the agent ends.
    pub(crate) fn retries(mut self, count: u32) -> Self {
        self.retries = Some(count);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The names of all files, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The termination message.
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.read("report")).unwrap_or_default()
    }

    pub(crate) fn start(&self) -> Agent {
        Agent(self.command(&[]).spawn().unwrap())
    }

    /// The same with its log at another place than a pipe that is read.
    pub(crate) fn start_with_log(&self, log: impl Into<Stdio>) -> Agent {
        Agent(self.command(&[]).stderr(log).spawn().unwrap())
    }

    /// The same by way of a program that becomes the agent.
    pub(crate) fn start_as(&self, program: &Path, arguments: &[&str]) -> Agent {
        Agent(self.command_of(program, arguments).spawn().unwrap())
    }

    /// Runs until the agent ends by itself.
    pub(crate) async fn run(&self) -> Output {
        let run = self.command(&[]).output();
        tokio::time::timeout(Duration::from_secs(60), run)
            .await
            .expect("the agent ends within a minute")
            .unwrap()
    }

    /// `planescape-agent wait`.
    pub(crate) async fn wait(&self) -> ExitStatus {
        let mut waiting = self.command(&["wait"]).spawn().unwrap();
        tokio::time::timeout(Duration::from_secs(30), waiting.wait())
            .await
            .expect("the files are rendered within 30 s")
            .unwrap()
    }

    /// `planescape-agent ready`, or another question that is answered at once.
    pub(crate) async fn ask(&self, question: &str) -> Output {
        self.command(&[question]).output().await.unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_planescape-agent")), arguments)
    }

    /// The same with another binary.
    pub(crate) fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let config = self.path("agent.hcl");
        let text = self.config();
        // An agent that starts may be reading it: it is not written again.
        if !fs::read_to_string(&config).is_ok_and(|written| written == text) {
            fs::write(&config, text).unwrap();
        }
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(format!("-config={}", config.display()))
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn config(&self) -> String {
        let folder = self.folder.path().display();
        let templates: String = self
            .templates
            .iter()
            .map(|(file, text)| {
                format!("template {{\n contents = <<EOT\n{text}\nEOT\n destination = \"{folder}/{file}\"\n}}\n")
            })
            .collect();
        let retries = self.retries.map_or_else(String::new, |count| {
            format!("retry {{ num_retries = {count} }}")
        });
        format!(
            r#"
            vault {{ address = "{}" {retries} }}
            auto_auth {{
              method "kubernetes" {{
                config {{ role = "{}" token_path = "{folder}/jwt" }}
              }}
              sink "file" {{ config {{ path = "{folder}/token" }} }}
            }}
            template_config {{ exit_on_retry_failure = true }}
            {templates}
            {}
            "#,
            self.address,
            self.role,
            self.settings_or_default()
        )
    }

    fn settings_or_default(&self) -> String {
        let folder = self.folder.path().display();
        if self.settings.is_empty() {
            format!(
                r#"planescape {{
                  revoke_on_exit = true
                  ledger = "{folder}/ledger"
                  give_up_after = "20s"
                  exit_on_refusal = true
                  termination_log = "{folder}/report"
                  ready_socket = "{folder}/ready.sock"
                }}"#
            )
        } else {
            self.settings.replace("FOLDER", &folder.to_string())
        }
    }
}

/// A running agent; killed when dropped.
pub(crate) struct Agent(Child);

impl Agent {
    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.0.id().expect("it runs")).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id()), signal).unwrap();
    }

    /// Reads its log no more.
    pub(crate) fn close_log(&mut self) {
        drop(self.0.stderr.take());
    }

    /// Its output, once it ended.
    pub(crate) async fn output(self) -> Output {
        tokio::time::timeout(Duration::from_secs(40), self.0.wait_with_output())
            .await
            .expect("the agent ends within 40 s")
            .unwrap()
    }

    /// Its output, if it ends by itself within this time.
    pub(crate) async fn ends_within(mut self, limit: Duration) -> Result<Output, Self> {
        match tokio::time::timeout(limit, self.0.wait()).await {
            Ok(_) => Ok(self.output().await),
            Err(_) => Err(self),
        }
    }

    pub(crate) async fn terminate(self) -> Output {
        self.signal(Signal::SIGTERM);
        self.output().await
    }
}

/// Looks again and again, for at most 15 s.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(15), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The audit log's requests of one token, the login that made it among them.
pub(crate) fn requests_of(cluster: &Cluster, accessor: &str) -> Vec<Entry> {
    let mut requests = cluster.vault.requests().unwrap();
    requests.retain(|entry| entry.accessor.as_deref() == Some(accessor));
    requests
}

pub(crate) fn count(requests: &[Entry], operation: &str, path: &str) -> usize {
    requests
        .iter()
        .filter(|entry| entry.is(operation, path))
        .count()
}
