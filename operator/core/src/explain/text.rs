//! An explanation for people.

use std::fmt;

use super::{Access, Explanation, Guard};

impl fmt::Display for Explanation {
    /// All but the Job and the agent's configuration, which are documents of their own.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for access in &self.vault {
            write_access(access, out)?;
        }
        writeln!(out, "Next runs:")?;
        for run in &self.next_runs {
            let excluded = if run.excluded {
                "  excluded by a window"
            } else {
                ""
            };
            writeln!(out, "  {} {}{excluded}", run.time, run.zone)?;
        }
        if let Some(guard) = &self.lease_guard {
            write_guard(guard, out)?;
        }
        if !self.warnings.is_empty() {
            writeln!(out, "Warnings:")?;
        }
        for warning in &self.warnings {
            writeln!(out, "  {warning}")?;
        }
        Ok(())
    }
}

fn write_access(access: &Access, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Access {
        who, address, role, ..
    } = access;
    write!(out, "What {who} asks {address} for, as role {role}")?;
    if let Some(namespace) = &access.namespace {
        write!(out, " in namespace {namespace}")?;
    }
    writeln!(out, ":")?;
    for request in &access.requests {
        let line = format!(
            "  {:<5}{:<52} {}",
            request.method, request.path, request.why
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    if access.reads_more {
        writeln!(
            out,
            "  and what its templates ask for once Vault has answered, which is not known here"
        )?;
    }
    writeln!(out, "The least policy for it:")?;
    for line in access.policy.lines() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn write_guard(guard: &Guard, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(out, "Lease guard: ")?;
    if let Some(seconds) = guard.seconds {
        write!(out, "{seconds} s: ")?;
    }
    writeln!(out, "{}", guard.meaning)?;
    if !guard.no_effect.is_empty() {
        writeln!(out, "  It has no effect for a role with")?;
    }
    for role in guard.no_effect {
        writeln!(out, "    {role}")?;
    }
    Ok(())
}
