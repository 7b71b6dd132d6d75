//! Metrics of the daemon, in the text format of Prometheus.
//!
//! Off unless `metrics_listen` names a socket (a path) or a port of this host. Every process that can connect
//! can read them, and they contain names of networks, so addresses of other hosts are refused.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

mod http;

use std::sync::Arc;
use std::time::Duration;

use oxivirt_remote::serve::Observer;
use oxivirt_rpc::server::Server;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};

pub(crate) use http::{Endpoint, EndpointError, Place};

use crate::drivers::Drivers;

/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 8] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1, 1.0, 10.0];

/// Number and duration of calls, by procedure.
#[derive(Debug)]
pub(crate) struct Calls {
    registry: Registry,
    total: IntCounterVec,
    seconds: HistogramVec,
}

impl Calls {
    /// Without calls.
    ///
    /// # Errors
    /// Only if a name breaks Prometheus' rules.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let total = Opts::new("oxivirt_calls_total", "Calls that were answered.");
        let seconds = HistogramOpts::new("oxivirt_call_seconds", "How long calls took.");
        let calls = Self {
            registry: Registry::new(),
            total: IntCounterVec::new(total, &["procedure", "result"])?,
            seconds: HistogramVec::new(seconds.buckets(BUCKETS.to_vec()), &["procedure"])?,
        };
        calls.registry.register(Box::new(calls.total.clone()))?;
        calls.registry.register(Box::new(calls.seconds.clone()))?;
        Ok(calls)
    }
}

impl Observer for Calls {
    fn called(&self, name: &'static str, elapsed: Duration, is_ok: bool) {
        // both results of a procedure that was called have a value
        for (result, n) in [("ok", u64::from(is_ok)), ("error", u64::from(!is_ok))] {
            self.total.with_label_values(&[name, result]).inc_by(n);
        }
        self.seconds.with_label_values(&[name]).observe(elapsed.as_secs_f64());
    }
}

/// What is measured.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) calls: Arc<Calls>,
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) drivers: Arc<Drivers>,
}

impl Metrics {
    /// All metrics at this moment.
    ///
    /// # Errors
    /// Only if a driver's metrics break Prometheus' rules.
    async fn text(&self) -> Result<String, prometheus::Error> {
        let mut families = self.calls.registry.gather();
        families.extend(self.clients());
        families.extend(self.drivers.metrics().await);
        TextEncoder::new().encode_to_string(&families)
    }

    fn clients(&self) -> Option<MetricFamily> {
        let rows = self.servers.iter().flat_map(|server| {
            let (clients, anonymous) = server.counts();
            [("yes", clients.saturating_sub(anonymous)), ("no", anonymous)].map(|(known, n)| {
                let labels =
                    vec![("server", server.name().to_owned()), ("known", known.to_owned())];
                (labels, n as u64)
            })
        });
        family("oxivirt_clients", "Connected clients.", MetricType::GAUGE, rows)
    }
}

/// A family of counters or gauges whose values are taken when they are asked for; `None` without a value,
/// which the format cannot express.
pub(crate) fn family(
    name: &str,
    help: &str,
    kind: MetricType,
    rows: impl IntoIterator<Item = (Vec<(&'static str, String)>, u64)>,
) -> Option<MetricFamily> {
    let metrics = rows.into_iter().map(|(labels, value)| metric(kind, labels, value));
    let metrics: Vec<Metric> = metrics.collect();
    if metrics.is_empty() {
        return None;
    }
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    Some(family)
}

fn metric(kind: MetricType, labels: Vec<(&'static str, String)>, value: u64) -> Metric {
    let labels = labels.into_iter().map(|(name, value)| {
        let mut label = LabelPair::default();
        label.set_name(name.to_owned());
        label.set_value(value);
        label
    });
    let mut metric = Metric::from_label(labels.collect());
    // Prometheus' numbers are 64-bit floats: exact up to 2^53
    let value = value as f64;
    match kind {
        MetricType::COUNTER => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        _ => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_duration() {
        let calls = Calls::new().unwrap();
        calls.called("x", Duration::from_micros(200), true);
        calls.called("x", Duration::from_millis(2), false);
        let text = TextEncoder::new().encode_to_string(&calls.registry.gather()).unwrap();
        for expect in [
            "# TYPE oxivirt_calls_total counter\n",
            "oxivirt_calls_total{procedure=\"x\",result=\"ok\"} 1\n",
            "oxivirt_calls_total{procedure=\"x\",result=\"error\"} 1\n",
            "# TYPE oxivirt_call_seconds histogram\n",
            "oxivirt_call_seconds_bucket{procedure=\"x\",le=\"0.0001\"} 0\n",
            "oxivirt_call_seconds_bucket{procedure=\"x\",le=\"0.0003\"} 1\n",
            "oxivirt_call_seconds_bucket{procedure=\"x\",le=\"+Inf\"} 2\n",
            "oxivirt_call_seconds_sum{procedure=\"x\"} 0.0022\n",
            "oxivirt_call_seconds_count{procedure=\"x\"} 2\n",
        ] {
            assert!(text.contains(expect), "{expect} is not in\n{text}");
        }
    }

    #[test]
    fn labels_keep_their_order_and_are_escaped() {
        let labels = vec![("b", "a\"b\\c\n".to_owned()), ("a", "x".to_owned())];
        let found = family("oxivirt_x", "Help.", MetricType::GAUGE, [(labels, 3)]).unwrap();
        let text = TextEncoder::new().encode_to_string(&[found]).unwrap();
        let expect = "# HELP oxivirt_x Help.\n# TYPE oxivirt_x gauge\n\
                      oxivirt_x{b=\"a\\\"b\\\\c\\n\",a=\"x\"} 3\n";
        assert_eq!(text, expect);
        assert!(family("oxivirt_x", "Help.", MetricType::GAUGE, []).is_none());
    }
}
