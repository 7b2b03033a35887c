//! Which proxy a request goes through: what the environment says, and never one for loopback.

use std::net::IpAddr;

use anyhow::Context;
use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

/// The proxies that the environment names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    http: Option<String>,
    https: Option<String>,
    except: String,
}

impl Proxies {
    pub(crate) fn from_environment() -> Self {
        let read = |name: &str| {
            let lower = name.to_lowercase();
            let value = std::env::var(name).or_else(|_| std::env::var(lower));
            value.ok().filter(|value| !value.is_empty())
        };
        Self {
            http: read("HTTP_PROXY"),
            https: read("HTTPS_PROXY"),
            except: read("NO_PROXY").unwrap_or_default(),
        }
    }

    /// Whether a request to this URL may go through a proxy.
    pub(crate) fn may_apply_to(&self, url: &Url) -> bool {
        let proxy = if url.scheme() == "https" {
            &self.https
        } else {
            &self.http
        };
        proxy.is_some() && !is_loopback(url)
    }

    pub(crate) fn apply_to(&self, builder: ClientBuilder) -> anyhow::Result<ClientBuilder> {
        // The client's own look at the environment would send loopback through a proxy.
        let mut builder = builder.no_proxy();
        let except = format!("localhost,127.0.0.0/8,::1,{}", self.except);
        if let Some(proxy) = &self.http {
            let proxy = Proxy::http(proxy).context("HTTP_PROXY is not the URL of a proxy")?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&except)));
        }
        if let Some(proxy) = &self.https {
            let proxy = Proxy::https(proxy).context("HTTPS_PROXY is not the URL of a proxy")?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&except)));
        }
        Ok(builder)
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
