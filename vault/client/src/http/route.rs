//! The connection that leads to a URL: the name that it asks for, its trust and its proxy.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use planescape_vault::{Connection, Error, Tls};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::proxy::Proxies;
use crate::tls::Trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

tokio::task_local! {
    /// How long the connecting request may take.
    pub(super) static PATIENCE: Duration;
}

/// The share of a connection's or a request's time that name servers get: the rest lets us tell that they are slow.
fn for_names(limit: Duration) -> Duration {
    limit * 4 / 5
}

/// How to send one request.
pub(super) struct Route {
    pub(super) client: Client,
    /// The URL for the client: with `tls_server_name`, that name stands in place of the host.
    pub(super) url: Url,
    /// The `Host` header, where the URL says another.
    pub(super) host: Option<HeaderValue>,
}

/// The way to the configured address, and to the one that a redirect named last.
#[derive(Debug)]
pub(super) struct Routes {
    base: Url,
    trust: Trust,
    proxies: Proxies,
    settings: Settings,
    main: Client,
    redirected: Mutex<Option<(Url, Client)>>,
}

#[derive(Clone, Debug)]
struct Settings {
    server_name: Option<String>,
    connect_timeout: Duration,
    user_agent: String,
    keeps_idle: bool,
    /// The unix socket that all requests go to.
    socket: Option<PathBuf>,
    admission: Option<Admission>,
}

/// Whether the address, as it is configured, may lead to this one.
pub type Admission = fn(address: &str, ip: IpAddr) -> bool;

impl Routes {
    pub(super) fn new(
        connection: &Connection,
        user_agent: &str,
        admission: Option<Admission>,
    ) -> anyhow::Result<Self> {
        let address = &connection.address;
        let socket = address.strip_prefix("unix://").map(PathBuf::from);
        // A socket has no host; this name only makes a URL.
        let url = if socket.is_some() {
            "http://localhost"
        } else {
            address
        };
        let base =
            Url::parse(url).with_context(|| format!("vault.address: `{address}` is not a URL"))?;
        let trust = Trust::new(&connection.tls, base.scheme() == "https")?;
        let settings = Settings {
            server_name: connection.tls.server_name.clone(),
            connect_timeout: CONNECT_TIMEOUT.min(connection.timeout),
            user_agent: user_agent.to_owned(),
            keeps_idle: connection.keeps_idle,
            socket,
            admission,
        };
        let proxies = Proxies::from_environment();
        let main = client(&base, &trust, &proxies, &settings)?;
        Ok(Self {
            base,
            trust,
            proxies,
            settings,
            main,
            redirected: Mutex::new(None),
        })
    }

    /// The same ways, with the authorities and the client certificate of these settings.
    pub(super) fn with(&self, tls: &Tls) -> anyhow::Result<Self> {
        let trust = Trust::new(tls, self.base.scheme() == "https")?;
        let settings = Settings {
            server_name: tls.server_name.clone(),
            ..self.settings.clone()
        };
        Ok(Self {
            base: self.base.clone(),
            main: client(&self.base, &trust, &self.proxies, &settings)?,
            trust,
            proxies: self.proxies.clone(),
            settings,
            redirected: Mutex::new(None),
        })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Each host has a client of its own where the name in its URLs is not the host's.
    pub(super) fn to(&self, url: &Url) -> Result<Route, Error> {
        let Some(name) = asked_name(url, &self.proxies, &self.settings) else {
            return Ok(Route {
                client: self.client_to(url)?,
                url: url.clone(),
                host: None,
            });
        };
        let mut named = url.clone();
        named.set_host(Some(name)).map_err(|_| Error::Unsendable {
            what: "tls_server_name",
        })?;
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        Ok(Route {
            client: self.client_to(url)?,
            url: named,
            host: HeaderValue::from_str(&host).ok(),
        })
    }

    fn client_to(&self, url: &Url) -> Result<Client, Error> {
        let is_same = |other: &Url| {
            let own = (
                other.scheme(),
                other.host_str(),
                other.port_or_known_default(),
            );
            own == (url.scheme(), url.host_str(), url.port_or_known_default())
        };
        if self.settings.server_name.is_none() || is_same(&self.base) {
            return Ok(self.main.clone());
        }
        let mut redirected = self
            .redirected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = &*redirected
            && is_same(known)
        {
            return Ok(client.clone());
        }
        let client = client(url, &self.trust, &self.proxies, &self.settings).map_err(|error| {
            Error::Malformed {
                message: format!("cannot follow its redirect: {error:#}"),
            }
        })?;
        *redirected = Some((url.clone(), client.clone()));
        Ok(client)
    }
}

/// `tls_server_name`, where it can stand in the URL. The server then sees it in the handshake. An
/// address is never sent there, and a proxy would take the name for the place to connect to: in
/// both cases the name is only what the certificate must carry.
fn asked_name<'a>(url: &Url, proxies: &Proxies, settings: &'a Settings) -> Option<&'a str> {
    let name = settings.server_name.as_deref()?;
    let can_be_asked =
        url.scheme() == "https" && name.parse::<IpAddr>().is_err() && !proxies.concern(url);
    can_be_asked.then_some(name)
}

fn client(
    url: &Url,
    trust: &Trust,
    proxies: &Proxies,
    settings: &Settings,
) -> anyhow::Result<Client> {
    let is_asked = asked_name(url, proxies, settings).is_some();
    let tls = match &settings.server_name {
        Some(name) if !is_asked => trust.only_for(name)?,
        Some(_) | None => trust.config()?,
    };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .connect_timeout(settings.connect_timeout)
        .user_agent(&settings.user_agent);
    if !settings.keeps_idle {
        builder = builder.pool_max_idle_per_host(0);
    }
    builder = if let Some(socket) = &settings.socket {
        builder.no_proxy().unix_socket(socket.as_path())
    } else if is_asked {
        // No proxy concerns the host, but one may concern the name that stands in its place.
        builder.no_proxy()
    } else {
        proxies.apply_to(builder)?
    };
    let guard = settings.admission.map(|admission| Guard {
        address: url.as_str().to_owned(),
        admission,
    });
    builder = builder.dns_resolver(Arc::new(Resolver {
        host: url.host_str().unwrap_or_default().to_owned(),
        is_pinned: is_asked,
        guard,
        limit: for_names(settings.connect_timeout),
    }));
    builder.build().context("cannot build the HTTP client")
}

/// Finds the addresses of names.
#[derive(Debug)]
struct Resolver {
    host: String,
    /// Whether every name leads to the host.
    is_pinned: bool,
    guard: Option<Guard>,
    /// How long name servers are waited for at most.
    limit: Duration,
}

impl Resolver {
    /// A revocation has less time than a connection.
    fn patience(&self) -> Duration {
        let own = PATIENCE.try_with(|all| for_names(*all));
        own.map_or(self.limit, |own| own.min(self.limit))
    }
}

/// No name server says where a name leads.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unresolved(String);

/// The host's name leads only to addresses that it may: the connection is made to the ones that were checked, even if
/// the name leads elsewhere a moment later.
#[derive(Clone, Debug)]
struct Guard {
    address: String,
    admission: Admission,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = if self.is_pinned {
            self.host.clone()
        } else {
            name.as_str().to_owned()
        };
        // A proxy, which has another name, is not guarded.
        let guard = self.guard.clone();
        let guard = guard.filter(|_| name.eq_ignore_ascii_case(&self.host));
        let limit = self.patience();
        Box::pin(async move {
            let address = name.trim_start_matches('[').trim_end_matches(']');
            let found: Vec<SocketAddr> = match address.parse::<IpAddr>() {
                Ok(address) => vec![SocketAddr::new(address, 0)],
                Err(_) => look_up(&name, limit).await?,
            };
            if let Some(Guard { address, admission }) = guard {
                let mut ips = found.iter().map(SocketAddr::ip);
                if let Some(ip) = ips.find(|ip| !admission(&address, *ip)) {
                    return Err(format!("the name leads to {ip}, which is not allowed").into());
                }
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

async fn look_up(name: &str, limit: Duration) -> Result<Vec<SocketAddr>, Unresolved> {
    match timeout(limit, lookup_host((name, 0))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(Unresolved(error.to_string())),
        Err(_) => {
            let seconds = limit.as_secs_f32();
            Err(Unresolved(format!(
                "no name server has answered within {seconds} s"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn name_servers_are_waited_for_less_long_than_the_request_may_take() {
        let resolver = Resolver {
            host: "vault".to_owned(),
            is_pinned: false,
            guard: None,
            limit: Duration::from_secs(8),
        };

        for (all, names) in [(5, 4), (10, 8), (60, 8)] {
            let asked = async { resolver.patience() };
            let patience = PATIENCE.scope(Duration::from_secs(all), asked).await;
            assert_eq!(patience, Duration::from_secs(names), "{all}");
        }
        // A request that is passed on sets no patience.
        assert_eq!(resolver.patience(), Duration::from_secs(8));
    }

    #[tokio::test]
    async fn a_connection_stays_for_the_next_request_unless_it_is_not_to() {
        // Another test may have done so.
        let _ = crate::install_crypto_provider();
        for (keeps_idle, expected) in [(true, 1), (false, 2)] {
            let (address, connections) = server();
            let connection = Connection {
                address,
                tls: Tls::default(),
                namespace: None,
                timeout: Duration::from_secs(5),
                headers: Vec::new(),
                follows_redirects: false,
                pace: None,
                keeps_idle,
            };
            let routes = Routes::new(&connection, "test", None).unwrap();

            for _ in 0..2 {
                let route = routes.to(routes.base()).unwrap();
                let answer = route.client.get(route.url).send().await.unwrap();
                assert_eq!(answer.text().await.unwrap(), "{}");
                // A connection is given back a moment after its answer.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }

            let count = connections.load(Ordering::SeqCst);
            assert_eq!(count, expected, "{keeps_idle}");
        }
    }

    /// Answers every request, and counts connections.
    fn server() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    for line in lines.map_while(Result::ok) {
                        if line.is_empty() {
                            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                            stream.write_all(answer).unwrap();
                        }
                    }
                });
            }
        });
        (address, connections)
    }

    #[tokio::test]
    async fn a_name_leads_nowhere_but_where_it_may() {
        for (is_pinned, name) in [(false, "localhost"), (true, "vault.example.com")] {
            let resolve = |admission: Admission| {
                let resolver = Resolver {
                    host: "localhost".to_owned(),
                    is_pinned,
                    guard: Some(Guard {
                        address: "http://localhost:8200".to_owned(),
                        admission,
                    }),
                    limit: CONNECT_TIMEOUT,
                };
                resolver.resolve(name.parse().unwrap())
            };

            let refused = resolve(|_, ip| !ip.is_loopback()).await;
            let message = refused.map(drop).unwrap_err().to_string();
            assert!(message.contains("not allowed"), "{message}");
            let found = resolve(|_, ip| ip.is_loopback()).await;
            assert!(found.unwrap().all(|it| it.ip().is_loopback()));
        }
    }
}
