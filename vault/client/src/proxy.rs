//! The environment says which proxy a request goes through. None leads to loopback, unless it was named for Vault.

use anyhow::Context;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

/// The proxies that the environment names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    /// The proxy on the way to Vault, whatever its address.
    vaults: Option<String>,
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
        let of_vault =
            |name: &str| read(&format!("BAO_{name}")).or_else(|| read(&format!("VAULT_{name}")));
        Self {
            vaults: of_vault("PROXY_ADDR").or_else(|| of_vault("HTTP_PROXY")),
            http: read("HTTP_PROXY"),
            https: read("HTTPS_PROXY"),
            except: read("NO_PROXY").unwrap_or_default(),
        }
    }

    /// Whether a request to this URL goes through a proxy.
    pub(crate) fn concern(&self, url: &Url) -> bool {
        if self.vaults.is_some() {
            return true;
        }
        let proxies = Matcher::builder()
            .http(self.http.clone().unwrap_or_default())
            .https(self.https.clone().unwrap_or_default())
            .no(self.exceptions())
            .build();
        let uri = url.as_str().parse::<Uri>();
        uri.is_ok_and(|uri| proxies.intercept(&uri).is_some())
    }

    pub(crate) fn apply_to(&self, builder: ClientBuilder) -> anyhow::Result<ClientBuilder> {
        // The client's own look at the environment would send loopback through a proxy.
        let mut builder = builder.no_proxy();
        if let Some(proxy) = &self.vaults {
            let proxy = Proxy::all(proxy).context("VAULT_PROXY_ADDR is not the URL of a proxy")?;
            return Ok(builder.proxy(proxy));
        }
        let except = self.exceptions();
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

    fn exceptions(&self) -> String {
        format!("localhost,127.0.0.0/8,::1,{}", self.except)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_excepted_goes_through_no_proxy() {
        let mut proxies = Proxies {
            vaults: None,
            http: None,
            https: Some("http://proxy.example:3128".to_owned()),
            except: ".svc,10.0.0.0/8".to_owned(),
        };
        let cases = [
            ("https://vault.example", true),
            ("https://vault.security.svc:8200", false),
            ("https://10.1.2.3:8200", false),
            ("https://11.1.2.3:8200", true),
            ("https://localhost:8200", false),
            ("https://127.0.0.1:8200", false),
            ("https://[::1]:8200", false),
            ("http://vault.example", false),
        ];
        for (url, expected) in cases {
            assert_eq!(proxies.concern(&url.parse().unwrap()), expected, "{url}");
        }

        proxies.vaults = Some("http://proxy.example:3128".to_owned());
        for (url, _) in cases {
            assert!(proxies.concern(&url.parse().unwrap()), "{url}");
        }
    }
}
