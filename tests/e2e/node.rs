//! The testbed's own node: what our programs rely on, shown with programs that are not ours.

use anyhow::Result;
use planescape_tests::testbed::Testbed;

/// Finds Services by name and reaches them; the API server refuses what is not TLS.
const REACHES_SERVERS: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: reach}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: alpine:3.18
        command: [/bin/sh, -c]
        args:
        - |
          set -e
          nslookup postgresql.planescape-system.svc.cluster.local
          wget -qO- http://vault:8200/v1/sys/health
          wget -O- http://kubernetes.default.svc:443 2>&1 | grep "400 Bad Request"
"#;

/// Tries to log in to Vault with something that is no token.
const LOGS_IN: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: log-in}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: busybox:1.35
        command: [sh, -c, "! wget -O- --post-data 'role=database-reader&jwt=none' http://vault:8200/v1/auth/kubernetes/login"]
"#;

/// Reads the table `users` as the superuser.
const ASKS_POSTGRES: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: ask}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: postgres:15-alpine
        command: [/bin/sh, -c]
        args:
        - |
          echo 'export PGPASSWORD=postgres' >/tmp/db
          source /tmp/db
          psql -h postgresql -U postgres -d planescape -c "SELECT COUNT(*) FROM users;"
"#;

/// A native sidecar whose hook keeps the main container waiting until a file is there.
const WAITS_FOR_SIDECAR: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: gate}
spec:
  template:
    spec:
      restartPolicy: Never
      volumes: [{name: shared, emptyDir: {medium: Memory}}]
      initContainers:
      - name: sidecar
        image: busybox:1.35
        restartPolicy: Always
        command: [sh, -c, "trap 'exit 0' TERM; sleep 1; echo ready >/shared/file; while :; do sleep 1; done"]
        lifecycle: {postStart: {exec: {command: [sh, -c, "until [ -s /shared/file ]; do sleep 0.1; done"]}}}
        volumeMounts: [{name: shared, mountPath: /shared}]
      containers:
      - name: main
        image: busybox:1.35
        command: [cat, /shared/file]
        volumeMounts: [{name: shared, mountPath: /shared}]
"#;

const MIGRATES: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: migrate/migrate:v4.15.2
        command: [migrate]
        args: [-version]
"#;

/// Runs a Job to its end; what its main container has printed.
async fn output_of(bed: &Testbed, namespace: &str, name: &str, manifest: &str) -> Result<String> {
    bed.prepare(namespace).await?;
    let cluster = &bed.control_plane;
    cluster.apply_in(namespace, manifest).await?;
    let job = format!("job/{name}");
    let wait = ["wait", &job, "--for=condition=Complete", "--timeout=60s"];
    if let Err(error) = cluster.kubectl_in(namespace, &wait).await {
        let pods = cluster.kubectl_in(namespace, &["describe", "pods"]).await?;
        let logs = cluster.kubectl_in(namespace, &["logs", &job]).await;
        return Err(error.context(format!("{pods}\n{logs:?}")));
    }
    cluster
        .kubectl_in(namespace, &["logs", &job, "-c", "main"])
        .await
}

#[tokio::test]
async fn pods_find_and_reach_the_servers_outside() {
    let bed = Testbed::shared().await.unwrap();
    let output = output_of(bed, "reach", "reach", REACHES_SERVERS)
        .await
        .unwrap();
    assert!(output.contains(r#""sealed":false"#), "{output}");
}

#[tokio::test]
async fn vault_sees_a_pod_under_its_own_address() {
    let bed = Testbed::shared().await.unwrap();
    output_of(bed, "address", "log-in", LOGS_IN).await.unwrap();
    let address = ["get", "pods", "-o", "jsonpath={.items[*].status.podIP}"];
    let address = bed
        .control_plane
        .kubectl_in("address", &address)
        .await
        .unwrap();
    let requests = bed.vault.requests().unwrap();
    assert!(
        requests
            .iter()
            .any(|entry| entry.is("update", "auth/kubernetes/login")
                && entry.remote_address == address),
        "{address}"
    );
}

#[tokio::test]
async fn psql_in_a_pod_reads_the_database_of_its_own_namespace() {
    let bed = Testbed::shared().await.unwrap();
    let output = output_of(bed, "ask", "ask", ASKS_POSTGRES).await.unwrap();
    assert!(output.contains("     3\n(1 row)"), "{output}");
}

#[tokio::test]
async fn a_native_sidecar_with_a_hook_keeps_the_main_container_waiting_and_ends_after_it() {
    let bed = Testbed::shared().await.unwrap();
    let output = output_of(bed, "gate", "gate", WAITS_FOR_SIDECAR)
        .await
        .unwrap();
    assert_eq!(output, "ready\n");
}

#[tokio::test]
async fn the_migrate_image_runs_the_real_program() {
    let bed = Testbed::shared().await.unwrap();
    output_of(bed, "migrate", "migrate", MIGRATES)
        .await
        .unwrap();
}
