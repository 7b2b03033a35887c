//! A PostgreSQL server of our own, with the database of the guide's example.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::User;

use crate::address;
use crate::process::Server;
use crate::run_folder::RunFolder;

/// The one database that tests use.
pub const DATABASE: &str = "planescape";
/// The superuser, as Vault knows it.
pub const SUPERUSER: &str = "postgres";
/// The superuser's password over the network.
pub const PASSWORD: &str = "postgres";

/// How many rows the table `users` has.
pub const USERS: usize = 3;

const SCHEMA: &str = "
create table users (id serial primary key, name text not null);
insert into users (name) values ('ada'), ('grace'), ('edsger');
";

/// A running PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    address: SocketAddr,
    folder: PathBuf,
    _server: Server,
}

impl Postgres {
    /// Starts a server that listens at `ip`.
    pub async fn start(run: &RunFolder, ip: IpAddr) -> Result<Self> {
        let folder = run.subfolder("postgres")?;
        let data = folder.join("data");
        initialise(&folder, &data).await?;
        let address = address::free(ip)?;
        let mut server = Server::start("postgres", &serve(&folder, &data, address)?, &folder)?;
        until_ready(&mut server, &folder, address).await?;
        let postgres = Self {
            address,
            folder,
            _server: server,
        };
        postgres.create_database().await?;
        Ok(postgres)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs SQL as the superuser; the rows' columns come back as text.
    pub async fn query(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        self.query_in(DATABASE, sql).await
    }

    /// The database users that Vault has made and not yet removed.
    pub async fn vault_roles(&self) -> Result<Vec<String>> {
        let rows = self
            .query("select rolname from pg_roles where rolname like 'v-%' order by 1")
            .await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Whether `user` can log in with `password` and read the table `users`.
    pub async fn admits(&self, user: &str, password: &str) -> Result<bool> {
        let output = client("psql")?
            .args(["-X", "-At", "-h", &self.address.ip().to_string()])
            .args(["-p", &self.address.port().to_string()])
            .args(["-U", user, "-d", DATABASE, "-c", "select 1 from users"])
            .env("PGPASSWORD", password)
            .output()
            .await?;
        Ok(output.status.success())
    }

    /// Vault cannot come in any more, as where the database is down.
    pub async fn shut_vault_out(&self) -> Result<()> {
        self.query("alter role postgres password 'another'").await?;
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity
            where pid <> pg_backend_pid() and backend_type = 'client backend'";
        self.query(sql).await.map(drop)
    }

    /// Vault comes in again.
    pub async fn let_vault_in(&self) -> Result<()> {
        let sql = format!("alter role postgres password '{PASSWORD}'");
        self.query(&sql).await.map(drop)
    }

    async fn create_database(&self) -> Result<()> {
        self.query_in("postgres", &format!("create database {DATABASE}"))
            .await?;
        self.query(SCHEMA).await?;
        Ok(())
    }

    async fn query_in(&self, database: &str, sql: &str) -> Result<Vec<Vec<String>>> {
        let output = client("psql")?
            .args(["-X", "-q", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1"])
            .arg("-h")
            .arg(&self.folder)
            .args(["-p", &self.address.port().to_string()])
            .args(["-U", SUPERUSER, "-d", database, "-c", sql])
            .output()
            .await
            .context("run psql")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{sql}: {errors}");
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text
            .lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect())
    }
}

async fn initialise(folder: &Path, data: &Path) -> Result<()> {
    let user = user()?;
    fs::create_dir(data)?;
    for path in [folder, data] {
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    let password = folder.join("password");
    fs::write(&password, PASSWORD)?;
    let mut command = as_postgres(&programs()?.join("initdb"));
    command
        .args(["--no-sync", "--no-instructions", "--locale=C.UTF-8"])
        .args(["--username", SUPERUSER, "--auth-local=trust"])
        .arg("--auth-host=scram-sha-256")
        .arg(format!("--pwfile={}", password.display()))
        .arg("--pgdata")
        .arg(data);
    let output = tokio::process::Command::from(command)
        .output()
        .await
        .context("run initdb")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "initdb: {errors}");
    fs::write(
        data.join("pg_hba.conf"),
        "local all all trust\nhost all all all scram-sha-256\n",
    )?;
    Ok(())
}

fn serve(folder: &Path, data: &Path, address: SocketAddr) -> Result<Command> {
    let mut command = as_postgres(&programs()?.join("postgres"));
    command.arg("-D").arg(data).arg("-k").arg(folder);
    command.args(["-p", &address.port().to_string()]);
    for setting in [
        format!("listen_addresses={}", address.ip()),
        // Nothing here has to survive a power failure, nor stay in /dev/shm when we are killed.
        "fsync=off".to_owned(),
        "dynamic_shared_memory_type=mmap".to_owned(),
        "max_connections=200".to_owned(),
    ] {
        command.args(["-c", &setting]);
    }
    Ok(command)
}

/// It accepts connections a moment before it serves them.
async fn until_ready(server: &mut Server, folder: &Path, address: SocketAddr) -> Result<()> {
    address::until(server, Duration::from_secs(30), async || {
        let Ok(mut pg_isready) = client("pg_isready") else {
            return false;
        };
        let status = pg_isready
            .arg("-q")
            .arg("-h")
            .arg(folder)
            .args(["-p", &address.port().to_string()])
            .status()
            .await;
        status.is_ok_and(|status| status.success())
    })
    .await
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    // Changing the user clears the parent-death signal, so it is set once more.
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    command.args(["--pdeathsig", "KILL"]);
    command.arg("--").arg(program).current_dir("/");
    command
}

fn user() -> Result<User> {
    User::from_name("postgres")?.context("there is no user `postgres` on this machine")
}

/// A client program itself: Debian's wrapper around it, on the path, takes its time.
fn client(name: &str) -> Result<tokio::process::Command> {
    let mut command = tokio::process::Command::new(programs()?.join(name));
    command.kill_on_drop(true);
    Ok(command)
}

/// The newest PostgreSQL that Debian has installed.
pub(crate) fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .max_by_key(|folder| {
            let version = folder.parent().and_then(Path::file_name)?.to_str()?;
            version.parse::<u32>().ok()
        });
    match newest {
        Some(folder) => Ok(folder),
        None => bail!("PostgreSQL is not installed: apt-get install postgresql"),
    }
}

/// How long Vault may take, after a lease is revoked, until its database user is gone.
pub const REVOCATION: Duration = Duration::from_secs(2);
