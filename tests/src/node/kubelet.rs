//! The kubelet.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::control_plane::{ControlPlane, User};
use crate::machine::Machine;
use crate::process::Server;
use crate::servers;

pub(super) fn start(
    machine: &Machine,
    control_plane: &ControlPlane,
    cgroup: &str,
) -> Result<Server> {
    let config = machine.folder().join("kubelet.json");
    fs::write(&config, configuration(machine, cgroup)?)?;
    let kubeconfig = control_plane.kubeconfig(User::Node);
    let mut command = Command::new(servers::KUBERNETES.build()?.join("kubelet"));
    command
        .arg(format!("--config={}", config.display()))
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--hostname-override={}", super::NAME))
        .arg(format!("--node-ip={}", machine.node_address()));
    machine.start_server("kubelet", &command)
}

/// Omits what a machine in a test has to, and nothing that changes how pods behave.
fn configuration(machine: &Machine, cgroup: &str) -> Result<String> {
    let resolver = machine.folder().join("resolv.conf");
    fs::write(&resolver, "")?;
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": machine.node_address(),
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        "clusterDNS": [machine.node_address()],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%"},
        "failCgroupV1": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": false,
        "resolvConf": resolver,
    });
    Ok(serde_json::to_string_pretty(&config)?)
}
