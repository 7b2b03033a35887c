//! Turns the written configuration into a [`Config`], or names all problems at once.
//!
//! A reader that notes a problem still hands on some value; it is thrown away at the end,
//! together with everything else, so that one mistake does not hide the next.

mod auth;
mod exec;
mod log;
mod proxy;
mod telemetry;
mod template;
mod vault;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use crate::config::{Auth, Config, Overrides, Planescape, Sink, TemplateConfig, Vault};
use crate::proxy::ProxyToken;
use crate::reader::{Notes, Reader};
use crate::template::{Target, Template};
use crate::tree::{Body, Item, Tree, Value};
use crate::{Problem, Problems, Share, parse_bool};

/// Blocks that a later file replaces.
const SINGLE_BLOCKS: [&str; 8] = [
    "api_proxy",
    "cache",
    "vault",
    "auto_auth",
    "exec",
    "template_config",
    "telemetry",
    "planescape",
];
/// Parts of the agent whose connections can be told apart there.
const PARTS: [&str; 5] = ["auto-auth", "caching", "proxying", "templating", ""];

impl Config {
    /// Merges the files in order, applies flags and environment, and checks everything.
    ///
    /// # Errors
    /// Every problem, with the path of its field.
    pub fn new(trees: &[Tree], overrides: &Overrides) -> Result<Self, Problems> {
        let (merged, lent) = merge(trees);
        let notes = Notes::default();
        for double in trees.iter().flat_map(|tree| &tree.doubles) {
            notes.warnings.borrow_mut().push(Problem {
                field: double.key.clone(),
                reason: format!("{}is said before: the last one counts", double.place),
            });
        }
        let mut config = read(&Reader::new(&merged, &notes), lent, overrides);
        config.warnings = notes.warnings.into_inner();
        if overrides.refuses_unknown_keys {
            let unknown = std::mem::take(&mut config.warnings);
            notes.problems.borrow_mut().extend(unknown);
        }
        match Problems::from_list(notes.problems.into_inner()) {
            None => Ok(config),
            Some(problems) => Err(problems),
        }
    }
}

/// The `vault` block if there is no file.
pub(crate) fn vault_alone(overrides: &Overrides) -> Result<Vault, Problems> {
    let notes = Notes::default();
    let nothing = Body::new();
    let vault = vault::read(&Reader::new(&nothing, &notes), overrides, None);
    match Problems::from_list(notes.problems.into_inner()) {
        None => Ok(vault),
        Some(problems) => Err(problems),
    }
}

impl Tree {
    /// The `template` and `env_template` blocks with the paths of their fields, as far as they can be
    /// read, even if the rest of the file is not valid.
    #[must_use]
    pub fn templates(&self) -> Vec<(String, Template)> {
        let notes = Notes::default();
        let root = Reader::new(&self.root, &notes);
        let files = root.blocks("template").into_iter();
        let files = files.map(|block| (block.field(""), template::read(&block)));
        let variables = root.blocks("env_template").into_iter();
        let variables = variables.map(|block| (block.field(""), template::read_variable(&block)));
        files.chain(variables).collect()
    }
}

/// Whether a later file's item leaves an earlier file's as it is: an empty text, and what `vault agent` does not tell
/// from a key that is not there.
fn says_nothing(item: &Item) -> bool {
    match &item.value {
        Value::String(text) if text.is_empty() => true,
        Value::Body(body) if item.is("template_config") => body.iter().all(says_nothing),
        Value::Bool(is_so) => {
            !is_so && (item.is("exit_after_auth") || item.is("exit_on_retry_failure"))
        }
        Value::String(text) => item.is("exit_after_auth") && parse_bool(text) == Some(false),
        Value::Integer(number) => item.is("exit_after_auth") && *number == 0,
        Value::Float(_) | Value::List(_) | Value::Body(_) | Value::Null => false,
    }
}

/// Later files win, block by block. A `cache` that asks for the agent's token counts as an `api_proxy`, too.
fn merge(trees: &[Tree]) -> (Body, Option<ProxyToken>) {
    let mut merged = Body::new();
    let mut lent = None;
    for tree in trees {
        let is_there = |item: &Item| merged.iter().any(|it| it.is(&item.key));
        let said = tree.root.iter();
        let said = said.filter(|item| !says_nothing(item) || !is_there(item));
        let said: Vec<Item> = said.cloned().collect();
        for key in SINGLE_BLOCKS {
            if said.iter().any(|item| item.is(key)) {
                merged.retain(|item| !item.is(key));
            }
        }
        merged.extend(said);
        if let Some(token) = proxy::lent(&tree.root) {
            merged.retain(|item| !item.is("api_proxy"));
            lent = Some(token);
        } else if tree.has("api_proxy") {
            lent = None;
        }
    }
    (merged, lent)
}

fn read(root: &Reader<'_>, lent: Option<ProxyToken>, overrides: &Overrides) -> Config {
    let auth = match root.is_set("auto_auth") {
        true => auth::read(&root.block("auto_auth")),
        false => auth::absent(),
    };
    let files = root.blocks("template");
    let variables = root.blocks("env_template");
    let variables = variables.iter().map(template::read_variable);
    let templates: Vec<_> = files.iter().map(template::read).chain(variables).collect();
    let proxy = proxy::read(root, &auth, &templates, lent);
    let is_used = !auth.sinks.is_empty() || !templates.is_empty();
    if auth.method.is_some() && !is_used && proxy.token == ProxyToken::Request {
        root.problem(
            "auto_auth",
            "requires at least one sink or at least one template or api_proxy.use_auto_auth_token=true",
        );
    }
    if auth.method.is_none() && !proxy.caches && proxy.listeners.is_empty() {
        root.problem(
            "auto_auth",
            "no auto_auth, cache, or listener block found in config",
        );
    }
    warn_of_unrendered(root, &auth, &templates);
    check_destinations(root, &auth, &templates);
    if auth.wrap_ttl.is_some() && !templates.is_empty() {
        root.problem(
            "auto_auth.method.wrap_ttl",
            "templates cannot be rendered with a wrapped token: set wrap_ttl in the sink instead",
        );
    }
    let config = Config {
        vault: vault::read(&root.block("vault"), overrides, auth.namespace.as_deref()),
        auth,
        exec: exec::read(root, &templates),
        templates,
        proxy,
        template_config: template_config(&root.block("template_config")),
        exit_after_auth: root.boolean("exit_after_auth").unwrap_or(false),
        pid_file: root.string("pid_file"),
        log: log::read(root, &overrides.log),
        telemetry: telemetry::read(&root.block("telemetry")),
        has_own_exit_codes: root.is_set("planescape"),
        planescape: planescape(&root.block("planescape")),
        warnings: Vec::new(),
    };
    if config.planescape.revoke_on_exit && !config.auth.owns_token() {
        root.problem(
            "planescape.revoke_on_exit",
            "the token belongs to somebody else, who may need it: remove revoke_on_exit",
        );
    }
    check_reuse(root, &config);
    let mut config = Config {
        exit_after_auth: overrides.exit_after_auth.unwrap_or(config.exit_after_auth),
        ..config
    };
    if config.exec.is_some() && config.exit_after_auth {
        root.problem(
            "exit_after_auth",
            "an agent that starts a program does not end before it: remove exit_after_auth",
        );
    }
    close_idle(&mut config.vault, &closing_parts(root, overrides));
    // These keys have no effect, but their values must be of the right type.
    root.ignore(&["cluster_name"]);
    root.boolean("disable_mlock");
    root.duration("default_max_request_duration");
    root.warn_unknown();
    config
}

/// Warns of templates without a login: no secret is read without a token.
fn warn_of_unrendered(root: &Reader<'_>, auth: &Auth, templates: &[Template]) {
    let Some(first) = templates.first().filter(|_| auth.method.is_none()) else {
        return;
    };
    let key = match first.target {
        Target::File(_) => "template",
        Target::Variable(_) => "env_template",
    };
    root.warn(
        key,
        "is never rendered: nothing logs in without an auto_auth block",
    );
}

/// The parts whose connections are closed after each request. A variable takes the place of its key; both have to name
/// known parts.
fn closing_parts(root: &Reader<'_>, overrides: &Overrides) -> Vec<String> {
    let mut closing = Vec::new();
    for (key, said) in [
        (
            "disable_idle_connections",
            &overrides.disable_idle_connections,
        ),
        ("disable_keep_alives", &overrides.disable_keep_alives),
    ] {
        let written = root.strings(key);
        let said = said.as_ref().map(|text| {
            let parts = text.split(',').map(|part| part.trim().to_lowercase());
            parts.collect::<Vec<_>>()
        });
        let all = written.iter().chain(said.iter().flatten());
        for part in all.filter(|part| !PARTS.contains(&part.as_str())) {
            root.problem(key, format!("unknown {key} value: {part}"));
        }
        closing.extend(said.unwrap_or(written));
    }
    closing
}

/// Logins, renewals and reads share their connections, and so do requests of listeners, with a cache and without.
fn close_idle(vault: &mut Vault, closing: &[String]) {
    let stay = |parts: [&str; 2]| !closing.iter().any(|part| parts.contains(&part.as_str()));
    vault.connection.keeps_idle = stay(["auto-auth", "templating"]);
    vault.proxy_keeps_idle = stay(["caching", "proxying"]);
}

/// Checks that there can be a token to use again.
fn check_reuse(root: &Reader<'_>, config: &Config) {
    const KEY: &str = "planescape.reuse_sink_token";
    let settings = &config.planescape;
    if !settings.reuses_sink_token {
        return;
    }
    if settings.revoke_on_exit || settings.ledger.is_some() {
        root.problem(
            KEY,
            "the token of an earlier life is revoked: remove revoke_on_exit and ledger",
        );
    }
    let is_plain = |sink: &Sink| sink.wrap_ttl.is_none() && sink.encryption.is_none();
    if !config.auth.sinks.iter().any(is_plain) {
        root.problem(
            KEY,
            "no sink holds a token that could be used again: add one without wrap_ttl and dh_type",
        );
    }
}

/// Two writers of one file would undo each other's work for ever, and a file that is made anew takes a device's place.
fn check_destinations(root: &Reader<'_>, auth: &Auth, templates: &[Template]) {
    let templates = templates.iter().enumerate();
    let templates = templates.filter_map(|(index, template)| {
        let field = format!("template[{index}].destination");
        Some((field, template.target.file()?))
    });
    let sinks = auth.sinks.iter().enumerate();
    let sinks = sinks.map(|(index, sink)| {
        let field = format!("auto_auth.sink[{index}].config.path");
        (field, sink.path.as_str())
    });
    let mut owners: BTreeMap<&str, String> = BTreeMap::new();
    for (field, path) in sinks.chain(templates).filter(|(_, path)| !path.is_empty()) {
        if Path::new(path).parent() == Some(Path::new("/dev")) {
            let reason =
                "a file here would take a device's place: choose another folder, such as /dev/shm";
            root.problem(&field, reason);
        }
        match owners.get(path) {
            Some(owner) => root.problem(&field, format!("is also {owner}: give each its own file")),
            None => {
                owners.insert(path, field);
            }
        }
    }
}

fn template_config(block: &Reader<'_>) -> TemplateConfig {
    let written = block
        .fraction("lease_renewal_threshold")
        .filter(|share| *share != 0.0);
    let threshold = written.and_then(Share::new);
    if written.is_some() && threshold.is_none() {
        block.problem("lease_renewal_threshold", "is not between 0 and 1");
    }
    let connections = block
        .integer("max_connections_per_host")
        .and_then(|count| usize::try_from(count).ok())
        .and_then(NonZeroUsize::new);
    let config = TemplateConfig {
        exit_on_retry_failure: block.boolean("exit_on_retry_failure").unwrap_or(false),
        static_secret_render_interval: block
            .duration("static_secret_render_interval")
            .filter(|interval| !interval.is_zero())
            .unwrap_or(TemplateConfig::DEFAULT_INTERVAL),
        kv_v1_render_interval: block
            .duration("kv_v1_render_interval")
            .filter(|interval| !interval.is_zero()),
        max_connections: connections.unwrap_or(TemplateConfig::DEFAULT_CONNECTIONS),
        lease_renewal_threshold: threshold.unwrap_or(Share::DEFAULT),
    };
    block.warn_unknown();
    config
}

/// Vault must be able to restart within two thirds of the guard.
const SHORTEST_GUARD: Duration = Duration::from_secs(60);

fn planescape(block: &Reader<'_>) -> Planescape {
    let planescape = Planescape {
        revoke_on_exit: block.boolean("revoke_on_exit").unwrap_or(false),
        ledger: block.string("ledger"),
        shared_folders: block.strings("shared_folders"),
        termination_log: block.string("termination_log"),
        ready_socket: block.string("ready_socket"),
        give_up_after: block
            .duration("give_up_after")
            .filter(|duration: &Duration| !duration.is_zero()),
        exit_on_refusal: block.boolean("exit_on_refusal").unwrap_or(false),
        reuses_sink_token: block.boolean("reuse_sink_token").unwrap_or(false),
        lease_guard: block
            .duration("lease_guard")
            .filter(|duration: &Duration| !duration.is_zero()),
    };
    if planescape
        .lease_guard
        .is_some_and(|guard| guard < SHORTEST_GUARD)
    {
        block.problem("lease_guard", "is less than a minute");
    }
    block.deny_unknown();
    planescape
}

/// Vault's own form: no slash in front, one at the end; `None` for the root namespace.
fn namespace(name: &str) -> Option<String> {
    let name = name.trim().trim_matches('/');
    (!name.is_empty()).then(|| format!("{name}/"))
}

#[cfg(test)]
mod alike_tests;
#[cfg(test)]
mod border_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;
