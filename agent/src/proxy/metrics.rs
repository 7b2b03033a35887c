//! The metrics of the agent, in the names of `vault agent`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::ACCEPT;
use http::{Method, Request, StatusCode};

use planescape_agent_contract::Telemetry;
use planescape_agent_core::{Input, Metric, Status};

use super::answer::{self, Answer};
use crate::{log, status};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Counts since the start.
        #[derive(Debug, Default)]
        pub(crate) struct Metrics {
            telemetry: Telemetry,
            $($(#[$doc])* pub(crate) $name: AtomicU64,)*
            /// 1 while there is a token.
            pub(crate) authenticated: AtomicU64,
        }

        impl Metrics {
            fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$(($word, self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Logins and renewals of the token.
    auth_success = "agent.auth.success",
    /// Logins and renewals that failed.
    auth_failure = "agent.auth.failure",
    /// Requests that Vault answered well.
    proxy_success = "agent.proxy.success",
    /// Requests that Vault refused.
    proxy_client_error = "agent.proxy.client_error",
    /// Requests that Vault did not answer.
    proxy_error = "agent.proxy.error",
    /// Requests that the cache answered.
    cache_hit = "agent.cache.hit",
    /// Requests that the cache did not answer.
    cache_miss = "agent.cache.miss",
}

impl Metrics {
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            ..Self::default()
        }
    }

    /// Counts the results of logins and renewals.
    pub(crate) fn see(&self, input: &Input) {
        let (succeeded, is_login) = if let Input::LoggedIn { result, .. } = input {
            (result.is_ok(), true)
        } else if let Input::TokenRenewed { result, .. } = input {
            (result.is_ok(), false)
        } else if let Input::LoggedInWrapped { result, .. } = input {
            (result.is_ok(), true)
        } else {
            return;
        };
        Self::add(if succeeded {
            &self.auth_success
        } else {
            &self.auth_failure
        });
        // A token whose renewal failed once lives on.
        if succeeded || is_login {
            let is_there = u64::from(succeeded);
            self.authenticated.store(is_there, Ordering::Relaxed);
        }
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// All metrics, for receivers that get them without asking.
    pub(crate) fn all(&self) -> Vec<Metric> {
        let counters = self.counts().into_iter().map(|(name, value)| Metric {
            name,
            value,
            is_gauge: false,
        });
        let authenticated = Metric {
            name: "agent.authenticated",
            value: self.authenticated.load(Ordering::Relaxed),
            is_gauge: true,
        };
        counters.chain([authenticated]).collect()
    }

    pub(super) fn answer<B>(&self, request: &Request<B>, status: Option<&Status>) -> Answer {
        let refused = |why: String| {
            let mut answer = answer::typed("text/plain", why);
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            answer
        };
        let text = || {
            if !self.telemetry.has_prometheus {
                return refused("prometheus is not enabled".to_owned());
            }
            let freshness = status.map(status::metrics);
            let text = self.text() + &freshness.unwrap_or_default();
            answer::typed("text/plain; version=0.0.4", text)
        };
        if request.method() != Method::GET {
            return answer::errors(StatusCode::METHOD_NOT_ALLOWED, &[]);
        }
        let query = request.uri().query().unwrap_or_default();
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let format = pairs.find(|(name, _)| *name == "format");
        let accepted = request.headers().get_all(ACCEPT).iter();
        let wants_text = accepted.filter_map(|it| it.to_str().ok()).any(|accept| {
            let forms = ["openmetrics", "prometheus/telemetry"];
            accept.starts_with("text/plain") || forms.iter().any(|form| accept.contains(form))
        });
        let format = format.map(|(_, value)| value);
        match format.filter(|value| !value.is_empty()) {
            Some("prometheus") => text(),
            None if wants_text => text(),
            None => answer::typed("application/json", self.json()),
            Some(other) => refused(format!("metric response format {other:?} unknown")),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, count) in self.counts() {
            let name = self.word(name);
            // Writing into memory cannot fail.
            let _ = write!(
                text,
                "# HELP {name} {name}\n# TYPE {name} counter\n{name} {count}\n"
            );
        }
        let name = self.word("agent.authenticated");
        let value = self.authenticated.load(Ordering::Relaxed);
        let _ = write!(
            text,
            "# HELP {name} {name}\n# TYPE {name} gauge\n{name} {value}\n"
        );
        text
    }

    /// A name as Prometheus takes it.
    fn word(&self, name: &str) -> String {
        let name = format!("{}_{name}", self.telemetry.prefix);
        name.replace(['.', '-', ' ', '=', '/'], "_")
    }

    fn json(&self) -> String {
        let prefix = &self.telemetry.prefix;
        let counters: Vec<_> = self
            .counts()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| {
                serde_json::json!({"Name": format!("{prefix}.{name}"), "Count": count, "Rate": 0.0,
                    "Sum": count, "Min": 1, "Max": 1, "Mean": 1, "Stddev": 0, "Labels": {}})
            })
            .collect();
        let gauge = self.authenticated.load(Ordering::Relaxed);
        serde_json::json!({
            "Timestamp": log::timestamp(),
            "Gauges": [{"Name": format!("{prefix}.agent.authenticated"), "Value": gauge, "Labels": {}}],
            "Points": [],
            "Counters": counters,
            "Samples": [],
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(metrics: &Metrics, path: &str) -> StatusCode {
        let request = Request::builder().uri(path).body(()).unwrap();
        metrics.answer(&request, None).status()
    }

    #[test]
    fn scrapers_say_in_many_ways_that_they_want_text() {
        let kind = |accept: &str| {
            let request = Request::builder().uri("/m").header(ACCEPT, accept);
            let answer = Metrics::default().answer(&request.body(()).unwrap(), None);
            answer.headers()[http::header::CONTENT_TYPE].clone()
        };

        for accept in [
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "prometheus/telemetry",
            "text/plain",
        ] {
            assert!(
                kind(accept).to_str().unwrap().starts_with("text/plain"),
                "{accept}"
            );
        }
        assert_eq!(kind("*/*"), "application/json");
    }

    #[test]
    fn metrics_are_called_as_configured() {
        let metrics = Metrics::new(Telemetry {
            prefix: "my-team".to_owned(),
            ..Telemetry::default()
        });
        Metrics::add(&metrics.cache_hit);

        assert!(metrics.text().contains("\nmy_team_agent_cache_hit 1\n"));
        assert!(metrics.json().contains("\"my-team.agent.cache.hit\""));
        assert!(!format!("{}{}", metrics.text(), metrics.json()).contains("vault"));
    }

    #[test]
    fn prometheus_gets_nothing_where_it_may_keep_nothing() {
        let metrics = Metrics::new(Telemetry {
            has_prometheus: false,
            ..Telemetry::default()
        });

        assert_eq!(asked(&metrics, "/m?format=prometheus"), 400);
        assert_eq!(asked(&metrics, "/m"), 200);
        assert_eq!(asked(&Metrics::default(), "/m?format=prometheus"), 200);
    }
}
