//! The policy that allows what is asked, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Capabilities by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    rules: BTreeMap<String, BTreeSet<&'static str>>,
    /// Paths that Vault's policy `default` allows already.
    own: Vec<String>,
}

impl Policy {
    pub(super) fn allow(&mut self, path: &str, capabilities: &[&'static str]) {
        let rule = self.rules.entry(path.to_owned()).or_default();
        rule.extend(capabilities);
    }

    pub(super) fn default_allows(&mut self, path: &str) {
        self.own.push(path.to_owned());
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, capabilities) in &self.rules {
            let capabilities: Vec<String> = capabilities.iter().map(|it| quoted(it)).collect();
            let capabilities = capabilities.join(", ");
            writeln!(
                out,
                "path {} {{ capabilities = [{capabilities}] }}",
                quoted(path)
            )?;
        }
        if !self.own.is_empty() {
            writeln!(
                out,
                "# For a role with token_no_default_policy; otherwise Vault's policy `default` allows these:"
            )?;
        }
        for path in &self.own {
            writeln!(
                out,
                "# path {} {{ capabilities = [\"update\"] }}",
                quoted(path)
            )?;
        }
        Ok(())
    }
}

/// As HCL reads it.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}
