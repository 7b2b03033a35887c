//! `planescape leases`: which leases of Vault may live, and which run holds them.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use planescape_operator_core::api::v1alpha1::Lease;
use planescape_operator_core::receipt::{Login, Receipt};

use super::runs::{Runs, Scope};
use crate::cluster::client;

const HEAD: [&str; 9] = [
    "NAMESPACE",
    "RUN",
    "POD",
    "LEASE",
    "USER",
    "PATH",
    "ACCESSOR",
    "STATE",
    "UNTIL",
];

/// The namespace to look in.
#[derive(Debug, Args)]
pub struct Leases {
    /// The namespace; the kubeconfig's when absent.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// In all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// Also those of runs whose credentials are revoked.
    #[arg(long)]
    revoked: bool,
}

impl Leases {
    /// Prints a table: one line for each lease that is known, and one for each login without any.
    ///
    /// # Errors
    /// An API server that does not answer.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = client::connect().await?;
        let scope = match self.all_namespaces {
            true => Scope::All,
            false => Scope::Namespace(client::namespace(&client, self.namespace)),
        };
        let runs = Runs::list(client, &scope).await?;
        let may_live = |lease| !matches!(lease, Lease::Revoked | Lease::RevokedByOperator);
        let receipts = runs.receipts();
        let shown = receipts.filter(|it| it.lease.is_some_and(|it| self.revoked || may_live(it)));
        let rows: Vec<_> = shown.flat_map(|receipt| rows(&receipt)).collect();
        std::io::stdout()
            .lock()
            .write_all(table(&rows).as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

type Row = [String; HEAD.len()];

/// An agent at work tells its reads only when it ends.
fn rows(receipt: &Receipt) -> Vec<Row> {
    if receipt.logins.is_empty() {
        let summary = receipt.summary.as_ref();
        let accessors = summary.map(|summary| summary.accessors.join(","));
        let paths = summary.map(|summary| summary.paths.join(","));
        return vec![row(receipt, [None, None, None, paths, accessors])];
    }
    let of_login = |login: &Login| {
        let leased = login.reads.iter().filter(|read| read.lease.is_some());
        let rows = leased.map(|read| {
            let (lease, user) = (read.lease.clone(), read.user.clone());
            let path = Some(read.path.clone());
            row(
                receipt,
                [login.pod.clone(), lease, user, path, login.accessor.clone()],
            )
        });
        let rows: Vec<Row> = rows.collect();
        if rows.is_empty() {
            return vec![row(
                receipt,
                [login.pod.clone(), None, None, None, login.accessor.clone()],
            )];
        }
        rows
    };
    receipt.logins.iter().flat_map(of_login).collect()
}

fn row(receipt: &Receipt, known: [Option<String>; 5]) -> Row {
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let [pod, lease, user, path, accessor] = known.map(dash);
    let state = receipt.lease.map(|lease| format!("{lease:?}"));
    let until = receipt.lease_until.as_ref().map(|time| time.0.to_string());
    [
        receipt.namespace.clone(),
        receipt.job.clone(),
        pod,
        lease,
        user,
        path,
        accessor,
        dash(state),
        dash(until),
    ]
}

fn table(rows: &[Row]) -> String {
    let head = HEAD.map(str::to_owned);
    let lines = || std::iter::once(&head).chain(rows);
    let widths: [usize; HEAD.len()] =
        std::array::from_fn(|column| lines().map(|line| line[column].len()).max().unwrap_or(0));
    let mut text = String::new();
    for line in lines() {
        let cells = line.iter().zip(widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(padded.join("   ").trim_end());
        text.push('\n');
    }
    text
}
