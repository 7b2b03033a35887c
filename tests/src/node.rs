//! One real node: containerd, kubelet, cluster DNS and Services, on a machine of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;

use crate::address;
use crate::control_plane::ControlPlane;
use crate::image::{self, Image};
use crate::machine::{self, Machine};
use crate::process::Server;
use crate::run_folder::RunFolder;

mod containerd;
mod kubelet;
mod network;

/// The node's name in the API server.
pub const NAME: &str = "node";

/// A node that runs pods.
#[derive(Debug)]
pub struct Node {
    socket: PathBuf,
    kubelet: Option<Server>,
    _servers: Vec<Server>,
    /// Goes last, and takes with it whatever the servers above have started.
    machine: Machine,
}

impl Node {
    /// Makes a node of `machine` and waits until it is ready.
    pub async fn start(
        run: &RunFolder,
        machine: Machine,
        control_plane: &ControlPlane,
    ) -> Result<Self> {
        machine::create_cgroup(run.name())?;
        network::configure(&machine)?;
        let socket = machine.run_folder().join("containerd/containerd.sock");
        let mut containerd = containerd::start(&machine)?;
        address::until(&mut containerd, Duration::from_secs(30), async || {
            tokio::net::UnixStream::connect(&socket).await.is_ok()
        })
        .await?;
        let kubelet = kubelet::start(&machine, control_plane, run.name())?;
        let servers = vec![
            network::start_dns(&machine, control_plane)?,
            network::start_proxy(&machine, control_plane)?,
            containerd,
        ];
        let node = Self {
            socket,
            kubelet: Some(kubelet),
            _servers: servers,
            machine,
        };
        for image in image::all_public()? {
            node.load(&image).await?;
        }
        until_ready(control_plane).await?;
        Ok(node)
    }

    /// The address of programs on the node itself.
    pub fn address(&self) -> Ipv4Addr {
        self.machine.node_address()
    }

    /// Ends the kubelet at once; the containers that it has started run on.
    pub fn kill_kubelet(&mut self) {
        self.kubelet = None;
    }

    /// Starts it again.
    pub fn start_kubelet(&mut self, run: &RunFolder, control_plane: &ControlPlane) -> Result<()> {
        let kubelet = kubelet::start(&self.machine, control_plane, run.name())?;
        self.kubelet = Some(kubelet);
        Ok(())
    }

    /// Lets nothing through between the node with its pods and the servers outside.
    pub fn cut_cable(&self) -> Result<()> {
        self.machine.cut_cable()
    }

    /// Lets everything through again.
    pub fn mend_cable(&self) -> Result<()> {
        self.machine.mend_cable()
    }

    /// Makes an image available to pods under its name; nothing is ever pulled.
    pub async fn load(&self, image: &Image) -> Result<()> {
        let archive = image.archive()?;
        let result = self.import(&archive).await;
        fs::remove_file(&archive)?;
        result.with_context(|| format!("load the image {}", image.name()))
    }

    /// Waits until pods can connect to a Service.
    pub async fn until_reachable(&self, address: &str, port: u16) -> Result<()> {
        let started = Instant::now();
        while !self.machine.reaches(address, port)? {
            if started.elapsed() > Duration::from_secs(30) {
                bail!("the Service at {address}:{port} is not reachable after 30 s");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn import(&self, archive: &Path) -> Result<()> {
        let output = tokio::process::Command::new("ctr")
            .arg("--address")
            .arg(&self.socket)
            .args(["--namespace", "k8s.io", "images", "import"])
            .arg(archive)
            .output()
            .await
            .context("run ctr")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ctr images import: {errors}");
        Ok(())
    }
}

/// A Service through which pods reach a server that is not in a pod.
pub fn service(namespace: &str, name: &str, port: u16, server: SocketAddr) -> String {
    format!(
        "\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
spec:
  ports:
  - name: tcp
    port: {port}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}
  namespace: {namespace}
  labels:
    kubernetes.io/service-name: {name}
addressType: IPv4
ports:
- name: tcp
  port: {server_port}
endpoints:
- addresses: [{ip}]
  conditions:
    ready: true
",
        server_port = server.port(),
        ip = server.ip(),
    )
}

async fn until_ready(control_plane: &ControlPlane) -> Result<()> {
    let nodes: Api<NodeObject> = Api::all(control_plane.client().await?);
    let started = Instant::now();
    loop {
        let node = nodes.get_opt(NAME).await?;
        let conditions = node.and_then(|node| node.status?.conditions);
        let ready = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == "Ready");
        if ready.as_ref().is_some_and(|ready| ready.status == "True") {
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(60) {
            let reason = ready.and_then(|ready| ready.message);
            bail!("the node is not ready after a minute: {reason:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
