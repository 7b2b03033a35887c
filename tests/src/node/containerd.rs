//! containerd, with its state on the node's machine.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::image;
use crate::machine::Machine;
use crate::process::Server;

pub(super) fn start(machine: &Machine) -> Result<Server> {
    let config = machine.folder().join("containerd.toml");
    fs::write(&config, configuration(machine))?;
    let mut command = Command::new("containerd");
    command.arg("--config").arg(config);
    machine.start_server("containerd", &command)
}

/// Without the privilege to lower an out-of-memory score, runc dies unless it may not try.
fn configuration(machine: &Machine) -> String {
    format!(
        r#"
version = 2

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{cni}"
"#,
        pause = image::PAUSE,
        cni = super::network::cni_folder(machine).display(),
    )
}
