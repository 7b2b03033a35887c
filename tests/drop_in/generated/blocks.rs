//! The blocks of a random configuration.

use serde_json::{Value, json};

use super::Draw;
use super::tree::Node;
use crate::scenario::Answer;

pub(super) fn configuration(draw: &mut Draw) -> Node {
    let mut top = Node::default();
    top.add("vault", vault(draw));
    if draw.chance.once_in(3) {
        top.set("pid_file", "${DIR}/out/pid");
    }
    if draw.chance.once_in(5) {
        top.set("log_level", draw.one(&["debug", "warn", "INFO", "trace"]));
    }
    if draw.chance.once_in(8) {
        top.set("log_format", draw.one(&["json", "standard"]));
    }
    let has_login = !draw.chance.once_in(12);
    let exits = draw.chance.once_in(2);
    if exits {
        top.set("exit_after_auth", true);
    }
    if has_login {
        top.add("auto_auth", auto_auth(draw));
    }
    if draw.chance.once_in(3) {
        top.add("template_config", template_config(draw));
    }
    for number in 0..draw.chance.below(4) {
        top.add("template", template(draw, number));
    }
    // Timing decides which of both ends first.
    if !exits && draw.chance.once_in(6) {
        program(draw, &mut top);
    }
    if !exits && draw.chance.once_in(3) {
        listener(draw, &mut top);
    }
    top
}

fn vault(draw: &mut Draw) -> Node {
    let mut vault = Node::default().with("address", "${ADDR}");
    let retries = draw.one(&[json!(2), json!(1), json!("2")]);
    vault.add("retry", Node::default().with("num_retries", retries));
    vault
}

fn auto_auth(draw: &mut Draw) -> Node {
    let mut block = Node::default();
    let (kind, config) = method(draw);
    let mut method = Node::default().with("type", kind);
    if draw.chance.once_in(3) {
        method.set("exit_on_err", true);
    }
    if draw.chance.once_in(4) {
        method.set("min_backoff", draw.one(&["100ms", "1s"]));
        method.set("max_backoff", draw.one(&["2s", "1m"]));
    }
    if draw.chance.once_in(8) {
        method.set("wrap_ttl", draw.one(&[json!("5m"), json!(300)]));
    }
    method.add("config", config);
    block.add("method", method);
    for number in 0..draw.chance.below(3) {
        block.add("sink", sink(draw, number));
    }
    block
}

fn method(draw: &mut Draw) -> (&'static str, Node) {
    let policies = draw.one(&["key-value-reader", "key-value-reader", "default"]);
    match draw.chance.below(3) {
        0 => {
            let ttl = draw.one(&["1h", "1h", "30m"]);
            let answer = Answer {
                read: None,
                write: Some("auth/token/create".to_owned()),
                body: json!({"policies": [policies], "ttl": ttl}),
                wrap_ttl: None,
                pointer: "/auth/client_token".to_owned(),
            };
            if draw.chance.once_in(8) {
                draw.text("token", "hvs.dead");
            } else {
                draw.answer("token", answer);
            }
            let config = Node::default().with("token_file_path", "${DIR}/token");
            ("token_file", config)
        }
        _ => ("approle", approle(draw, policies)),
    }
}

fn approle(draw: &mut Draw, policies: &str) -> Node {
    let role = |what: &str| format!("auth/approle/role/app/{what}");
    draw.write("sys/auth/approle", json!({"type": "approle"}));
    draw.write(
        "auth/approle/role/app",
        json!({"token_policies": policies, "token_ttl": "1h"}),
    );
    draw.answer(
        "role-id",
        Answer {
            read: Some(role("role-id")),
            write: None,
            body: Value::Null,
            wrap_ttl: None,
            pointer: "/data/role_id".to_owned(),
        },
    );
    let is_wrapped = draw.chance.once_in(4);
    let pointer = if is_wrapped {
        "/wrap_info/token"
    } else {
        "/data/secret_id"
    };
    let secret_id = Answer {
        read: None,
        write: Some(role("secret-id")),
        body: Value::Null,
        wrap_ttl: is_wrapped.then(|| "5m".to_owned()),
        pointer: pointer.to_owned(),
    };
    if draw.chance.once_in(8) {
        draw.text("secret-id", "wrong");
    } else if !draw.chance.once_in(10) {
        draw.answer("secret-id", secret_id);
    }
    let mut config = Node::default()
        .with("role_id_file_path", "${DIR}/role-id")
        .with("secret_id_file_path", "${DIR}/secret-id");
    if draw.chance.once_in(2) {
        let removes = draw.one(&[json!(false), json!("true"), json!(true)]);
        config.set("remove_secret_id_file_after_reading", removes);
    }
    if is_wrapped {
        config.set("secret_id_response_wrapping_path", role("secret-id"));
    }
    config
}

fn sink(draw: &mut Draw, number: usize) -> Node {
    let mut sink = Node::default().with("type", "file");
    if draw.chance.once_in(5) {
        sink.set("wrap_ttl", "5m");
    }
    let folder = draw.one(&["out", "out", "out", "out", "none"]);
    let mut config = Node::default().with("path", format!("${{DIR}}/{folder}/token-{number}"));
    if draw.chance.once_in(2) {
        config.set("mode", draw.one(&[json!(384), json!(0o644), json!(0o400)]));
    }
    sink.add("config", config);
    sink
}

fn template_config(draw: &mut Draw) -> Node {
    let mut block = Node::default();
    if draw.chance.once_in(2) {
        block.set("exit_on_retry_failure", true);
    }
    if draw.chance.once_in(2) {
        draw.is_lively = true;
        block.set(
            "static_secret_render_interval",
            draw.one(&[json!("1s"), json!(1)]),
        );
    }
    if draw.chance.once_in(4) {
        block.set("max_connections_per_host", draw.one(&[1, 20]));
    }
    block
}

const TEXTS: [&str; 14] = [
    r#"{{ with secret "kv/data/app" }}{{ .Data.data.user }}{{ end }}"#,
    r#"{{ with secret "kv/app" }}{{ .Data.data.password }}{{ end }}"#,
    r#"{{ with secret "secret-v1/app" }}{{ .Data.user }}{{ end }}"#,
    r#"{{ with secret "secret-v1/app" }}{{ .Data | toJSON }}{{ end }}"#,
    r#"{{ with secret "kv/data/app" }}{{ .Data.data.none }}{{ end }}"#,
    r#"{{ with secret "kv/data/none" }}{{ .Data.data.user }}{{ else }}nothing{{ end }}"#,
    r#"{{ with secret "nowhere/app" }}x{{ end }}"#,
    r#"{{ with secret "auth/token/lookup-self" }}{{ .Data.path }}{{ end }}"#,
    r#"{{ range secrets "kv/" }}{{ . }} {{ end }}"#,
    r#"{{ with secret "kv/data/app" }}{{ range $k, $v := .Data.data }}{{ $k }}={{ $v }};{{ end }}{{ end }}"#,
    r#"{{ if 1 }}no secret{{ end }}"#,
    "",
    r#"{{ env "HOME" | contains "run" }} {{ "a,b" | split "," | join "+" }}"#,
    r#"{{ with secret "kv/data/app" }}{{ index .Data.data "user" | toUpper }}
{{ .Data.metadata.version }}{{ end }}"#,
];

fn template(draw: &mut Draw, number: usize) -> Node {
    let mut block = Node::default();
    let text = draw.one(&TEXTS);
    if draw.chance.once_in(4) {
        let file = format!("{number}.tpl");
        draw.text(&file, text);
        block.set("source", format!("${{DIR}}/{file}"));
    } else {
        block.set("contents", text);
    }
    let folder = draw.one(&["out", "out", "out/deep/er"]);
    let path = format!("{folder}/file-{number}");
    block.set("destination", format!("${{DIR}}/{path}"));
    if draw.chance.once_in(3) {
        block.set("perms", draw.one(&["0600", "0644", "400", "0777"]));
    }
    if draw.chance.once_in(5) {
        block.set("error_on_missing_key", true);
    }
    if draw.chance.once_in(6) {
        block.set("create_dest_dirs", draw.one(&[true, false]));
    }
    if draw.chance.once_in(6) {
        block.set("backup", true);
        draw.text(&path, "as before");
    }
    if draw.chance.once_in(8) {
        block.set("error_fatal", false);
    }
    if draw.chance.once_in(8) {
        block.set("wait", draw.one(&["100ms", "100ms:1s"]));
    }
    if draw.chance.once_in(6) {
        block.set("command", format!("echo ran >> ${{DIR}}/out/ran-{number}"));
    } else if draw.chance.once_in(8) {
        let script = format!("echo ran > ${{DIR}}/out/ran-{number}");
        let exec = Node::default()
            .with("command", json!(["sh", "-c", script]))
            .with("timeout", "5s");
        block.add("exec", exec);
    }
    block
}

fn program(draw: &mut Draw, top: &mut Node) {
    let code = draw.one(&[0, 3]);
    let script = match draw.chance.once_in(2) {
        true => format!("printf '%s' \"$NAME\" > ${{DIR}}/out/variable; exit {code}"),
        false => "printf '%s' \"$NAME\" > ${DIR}/out/variable; exec sleep 60".to_owned(),
    };
    let mut exec = Node::default().with("command", json!(["sh", "-c", script]));
    if draw.chance.once_in(2) {
        let restarts = draw.one(&["always", "never"]);
        exec.set("restart_on_secret_changes", restarts);
    }
    if draw.chance.once_in(3) {
        exec.set("restart_stop_signal", draw.one(&["SIGINT", "SIGTERM"]));
    }
    let contents = r#"{{ with secret "kv/data/app" }}{{ .Data.data.user }}{{ end }}"#;
    let mut variable = Node::default().with("contents", contents);
    if draw.chance.once_in(3) {
        variable.set("error_on_missing_key", true);
    }
    top.add("exec", exec);
    top.add("env_template \"NAME\"", variable);
}

fn listener(draw: &mut Draw, top: &mut Node) {
    draw.listens = true;
    let listener = Node::default()
        .with("type", "tcp")
        .with("address", "${LISTEN}")
        .with("tls_disable", true);
    top.add("listener", listener);
    let uses = draw.one(&[json!(true), json!(false), json!("force"), Value::Null]);
    let mut proxy = Node::default();
    if !uses.is_null() {
        proxy.set("use_auto_auth_token", uses);
    }
    top.add("api_proxy", proxy);
    if draw.chance.once_in(2) {
        top.add("cache", Node::default());
    }
}
