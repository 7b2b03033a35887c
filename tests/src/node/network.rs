//! How pods reach each other, Services, names, and the servers outside.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::control_plane::{ControlPlane, User};
use crate::machine::Machine;
use crate::process::Server;
use crate::servers;

pub(super) fn cni_folder(machine: &Machine) -> PathBuf {
    machine.folder().join("cni")
}

/// Each pod gets a cable to the node, which routes: pods keep their addresses everywhere, so
/// Vault's audit log names the pod that asked.
pub(super) fn configure(machine: &Machine) -> Result<()> {
    let addresses = json!({
        "type": "host-local",
        "ranges": [[{"subnet": machine.pod_range()}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let config = json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": false, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    let folder = cni_folder(machine);
    fs::create_dir(&folder)?;
    let text = serde_json::to_string_pretty(&config)?;
    fs::write(folder.join("pods.conflist"), text)?;
    Ok(())
}

/// Names of the cluster; all others do not exist.
pub(super) fn start_dns(machine: &Machine, control_plane: &ControlPlane) -> Result<Server> {
    let kubeconfig = control_plane.kubeconfig(User::Admin);
    let config = format!(
        "\
cluster.local {{
  bind {address}
  errors
  kubernetes cluster.local {{
    kubeconfig {kubeconfig} testbed
  }}
}}
. {{
  bind {address}
  errors
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
",
        address = machine.node_address(),
        kubeconfig = kubeconfig.display(),
    );
    let file = machine.folder().join("Corefile");
    fs::write(&file, config)?;
    let mut command = Command::new(servers::COREDNS.build()?.join("coredns"));
    command.arg("-conf").arg(file);
    machine.start_server("coredns", &command)
}

/// The addresses of Services.
pub(super) fn start_proxy(machine: &Machine, control_plane: &ControlPlane) -> Result<Server> {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": control_plane.kubeconfig(User::Admin)},
        "clusterCIDR": machine.pod_range(),
        "conntrack": {
            "maxPerCore": 0,
            "tcpCloseWaitTimeout": "0s",
            "tcpEstablishedTimeout": "0s",
        },
        "hostnameOverride": super::NAME,
        // Tests wait for Services: better not a second.
        "iptables": {"minSyncPeriod": "0s"},
        "mode": "iptables",
    });
    let file = machine.folder().join("kube-proxy.json");
    fs::write(&file, serde_json::to_string_pretty(&config)?)?;
    let mut command = Command::new(servers::KUBERNETES.build()?.join("kube-proxy"));
    command.arg(format!("--config={}", file.display()));
    machine.start_server("kube-proxy", &command)
}
