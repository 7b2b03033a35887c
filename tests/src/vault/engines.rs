//! The mounts of a test Vault, and the policies of their readers.

use anyhow::Result;
use serde_json::{Value, json};
use vaultrs::api::auth::kubernetes::requests::CreateKubernetesRoleRequest;
use vaultrs::api::database::requests::{PostgreSQLConnectionRequest, SetRoleRequest};

use super::Vault;
use crate::postgres::{self, Postgres};
use crate::testbed::NAMESPACE;

const CREATE_READER: &str = r#"CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";"#;

/// The rights of the guide's job: with the last line Vault says of every lease that it is gone.
const DATABASE_READER: &str = r#"
path "database/creds/*" { capabilities = ["read"] }
path "sys/leases/revoke" { capabilities = ["update"] }
"#;

/// The rights of templates over static secrets.
const KEY_VALUE_READER: &str = r#"
path "kv/*" { capabilities = ["read", "list"] }
path "secret-v1/*" { capabilities = ["read", "list"] }
"#;

/// The rights of runs with Secrets of their own, likewise.
const RUNS: &str = r#"
path "database/creds/*" { capabilities = ["read"] }
path "kv/*" { capabilities = ["read"] }
path "sys/leases/revoke" { capabilities = ["update"] }
"#;

/// How long the credentials of a database role live.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Role<'a> {
    /// `readonly` for `database/creds/readonly`.
    pub name: &'a str,
    /// Lease duration, as Vault writes durations: `10s`.
    pub default_ttl: &'a str,
    /// How far renewals reach.
    pub max_ttl: &'a str,
}

impl Vault {
    /// Key-value stores: version 2 at `kv/`, version 1 at `secret-v1/`.
    pub(super) async fn enable_key_value(&self) -> Result<()> {
        for (mount, version) in [("kv", "2"), ("secret-v1", "1")] {
            let body = json!({"type": "kv", "options": {"version": version}});
            self.write(&format!("sys/mounts/{mount}"), &body).await?;
        }
        let client = self.client()?;
        vaultrs::sys::policy::set(&client, "key-value-reader", KEY_VALUE_READER).await?;
        vaultrs::sys::policy::set(&client, "database-reader", DATABASE_READER).await?;
        Ok(())
    }

    /// The database engine at `database/`, with the role `readonly`.
    pub async fn serve_credentials_of(&self, postgres: &Postgres) -> Result<()> {
        let client = self.client()?;
        vaultrs::sys::mount::enable(&client, "database", "database", None).await?;
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@{}/{}?sslmode=disable",
            postgres.address(),
            postgres::DATABASE
        );
        vaultrs::database::connection::postgres(
            &client,
            "database",
            postgres::DATABASE,
            Some(
                PostgreSQLConnectionRequest::builder()
                    .plugin_name("postgresql-database-plugin")
                    .connection_url(url)
                    .username(postgres::SUPERUSER)
                    .password(postgres::PASSWORD)
                    .allowed_roles(vec!["*".to_owned()]),
            ),
        )
        .await?;
        self.set_database_role(Role {
            name: "readonly",
            default_ttl: "1h",
            max_ttl: "24h",
        })
        .await
    }

    /// Makes or changes a database role whose users may read every table.
    pub async fn set_database_role(&self, role: Role<'_>) -> Result<()> {
        vaultrs::database::role::set(
            &self.client()?,
            "database",
            role.name,
            Some(
                SetRoleRequest::builder()
                    .db_name(postgres::DATABASE)
                    .creation_statements(vec![CREATE_READER.to_owned()])
                    .default_ttl(role.default_ttl)
                    .max_ttl(role.max_ttl),
            ),
        )
        .await?;
        Ok(())
    }

    /// Lets the ServiceAccount `default` of every namespace log in at `kubernetes` under the
    /// roles `database-reader` and `key-value-reader`.
    ///
    /// `planescape credentials` may revoke tokens by their accessors. `reviewer` is the token of a ServiceAccount that may review tokens.
    pub async fn trust(&self, api_server: &str, authority: &str, reviewer: &str) -> Result<()> {
        let client = self.client()?;
        vaultrs::sys::auth::enable(&client, "kubernetes", "kubernetes", None).await?;
        // Written by hand: the typed call knows no reviewer.
        let config = json!({
            "kubernetes_host": api_server,
            "kubernetes_ca_cert": authority,
            "token_reviewer_jwt": reviewer,
            "disable_local_ca_jwt": true,
        });
        self.write("auth/kubernetes/config", &config).await?;
        for role in ["database-reader", "key-value-reader"] {
            self.set_kubernetes_role(role, role, "1h").await?;
        }
        self.let_revoker_in(NAMESPACE).await
    }

    /// Makes or changes a role for the ServiceAccount `default` of every namespace.
    pub async fn set_kubernetes_role(&self, name: &str, policy: &str, ttl: &str) -> Result<()> {
        vaultrs::auth::kubernetes::role::create(
            &self.client()?,
            "kubernetes",
            name,
            Some(
                CreateKubernetesRoleRequest::builder()
                    .bound_service_account_names(vec!["default".to_owned()])
                    .bound_service_account_namespaces(vec!["*".to_owned()])
                    .token_policies(vec![policy.to_owned()])
                    .token_ttl(ttl),
            ),
        )
        .await?;
        Ok(())
    }

    /// A role for runs with Secrets of their own, for the audience that `planescape credentials` asks for;
    /// `change` is written over its usual settings.
    pub async fn let_runs_in(&self, name: &str, change: &Value) -> Result<()> {
        let policy = json!({"policy": RUNS});
        self.write("sys/policies/acl/runs", &policy).await?;
        let mut role = json!({
            "bound_service_account_names": "default",
            "bound_service_account_namespaces": "*",
            "audience": "vault",
            "token_policies": "runs",
            "token_ttl": "1h",
        });
        for (field, value) in change.as_object().into_iter().flatten() {
            role[field] = value.clone();
        }
        self.write(&format!("auth/kubernetes/role/{name}"), &role)
            .await?;
        Ok(())
    }

    /// The role `planescape-revocation`, which can do nothing but revoke tokens by their accessors, for the
    /// ServiceAccount `planescape-credentials` of a namespace.
    pub async fn let_revoker_in(&self, namespace: &str) -> Result<()> {
        let policy =
            json!({"policy": r#"path "auth/token/revoke-accessor" { capabilities = ["update"] }"#});
        self.write("sys/policies/acl/planescape-revocation", &policy)
            .await?;
        let role = json!({
            "bound_service_account_names": "planescape-credentials",
            "bound_service_account_namespaces": namespace,
            "audience": "vault",
            "token_policies": "planescape-revocation",
            "token_no_default_policy": true,
            "token_ttl": "10m",
        });
        self.write("auth/kubernetes/role/planescape-revocation", &role)
            .await?;
        Ok(())
    }

    /// Stores a secret in the version 2 store: `vault kv put kv/<path> …`.
    pub async fn put(&self, path: &str, data: &Value) -> Result<()> {
        self.write(&format!("kv/data/{path}"), &json!({"data": data}))
            .await?;
        Ok(())
    }
}
