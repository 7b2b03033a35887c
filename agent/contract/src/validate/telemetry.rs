//! The block `telemetry`.

use crate::reader::Reader;
use crate::telemetry::{Receiver, Telemetry};

/// Services that metrics could be pushed to.
const PLACES: [&str; 3] = [
    "circonus_api_token",
    "circonus_submission_url",
    "stackdriver_project_id",
];

/// Settings of the push to these services, and of a server's metrics, which an agent does not have.
const WITHOUT_EFFECT: [&str; 18] = [
    "add_lease_metrics_namespace_labels",
    "add_mount_point_rollback_metrics",
    "circonus_api_app",
    "circonus_api_url",
    "circonus_broker_id",
    "circonus_broker_select_tag",
    "circonus_check_display_name",
    "circonus_check_force_metric_activation",
    "circonus_check_id",
    "circonus_check_instance_id",
    "circonus_check_search_tag",
    "circonus_check_tags",
    "circonus_submission_interval",
    "maximum_gauge_cardinality",
    "num_lease_metrics_buckets",
    "stackdriver_debug_logs",
    "stackdriver_location",
    "stackdriver_namespace",
];

pub(super) fn read(block: &Reader<'_>) -> Telemetry {
    let absent = Telemetry::default();
    let warn = |keys: &[&'static str], reason: &str| {
        block.ignore(keys);
        for key in keys.iter().filter(|key| block.is_set(key)) {
            block.warn(key, reason);
        }
    };
    warn(
        &PLACES,
        "metrics are not pushed there: use statsd, or scrape /agent/v1/metrics of a listener",
    );
    warn(
        &["enable_hostname_label", "filter_default", "prefix_filter"],
        "has no effect: let the scraper add labels and drop metrics",
    );
    block.ignore(&WITHOUT_EFFECT);
    for key in ["lease_metrics_epsilon", "usage_gauge_period"] {
        if block.text(key) != Some("none") {
            block.duration(key);
        }
    }
    let retention = block.duration("prometheus_retention_time");
    let has_prometheus = retention.is_none_or(|time| !time.is_zero());
    let receivers = receivers(block);
    // As in `vault agent`, a single receiver gets no name of the machine with the metrics.
    let are_several = receivers.len() + usize::from(has_prometheus) > 1;
    let telemetry = Telemetry {
        prefix: block.string("metrics_prefix").unwrap_or(absent.prefix),
        has_prometheus,
        receivers,
        names_host: !block.boolean("disable_hostname").unwrap_or(false) && are_several,
    };
    block.warn_unknown();
    telemetry
}

fn receivers(block: &Reader<'_>) -> Vec<Receiver> {
    let tags = block.strings("dogstatsd_tags");
    let dogstatsd = block.string("dogstatsd_addr");
    let dogstatsd = dogstatsd.map(|address| Receiver::Dogstatsd { address, tags });
    let statsd = block.string("statsd_address").map(Receiver::Statsd);
    let statsite = block.string("statsite_address").map(Receiver::Statsite);
    statsite
        .into_iter()
        .chain(statsd)
        .chain(dogstatsd)
        .collect()
}
