//! The text of all metrics (OpenMetrics 1.0).

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use super::families::{Family, Type};
use crate::measures::Distribution;

/// The labels of a sample.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// The samples of one text.
#[derive(Debug, Default)]
pub struct Samples(Vec<Sample>);

#[derive(Debug)]
struct Sample {
    family: Family,
    labels: Labels,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Number(f64),
    Distribution(Distribution),
}

impl Samples {
    /// Adds the number of a counter or a gauge.
    #[expect(clippy::cast_precision_loss, reason = "2^53 of anything is enough")]
    pub fn number(&mut self, family: Family, labels: Labels, number: u64) {
        self.real(family, labels, number as f64);
    }

    /// Adds a size.
    pub fn size(&mut self, family: Family, labels: Labels, size: usize) {
        self.number(family, labels, u64::try_from(size).unwrap_or(u64::MAX));
    }

    /// Adds a number that need not be whole.
    pub fn real(&mut self, family: Family, labels: Labels, number: f64) {
        self.0.push(Sample { family, labels, value: Value::Number(number) });
    }

    /// Adds a distribution. Times are in microseconds.
    pub fn distribution(&mut self, family: Family, labels: Labels, distribution: Distribution) {
        self.0.push(Sample { family, labels, value: Value::Distribution(distribution) });
    }

    /// Returns the text.
    ///
    /// # Errors
    /// None that is known: writing into memory does not fail.
    pub fn text(mut self) -> Result<String, fmt::Error> {
        // Stable: the samples of one family stay in their order.
        self.0.sort_by_key(|sample| sample.family);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for samples in self.0.chunk_by(|one, other| one.family == other.family) {
            let Some(Sample { family, .. }) = samples.first() else { continue };
            let unit = family.unit().map(|unit| Unit::Other(unit.to_owned()));
            let kind = match family.kind() {
                Type::Counter => MetricType::Counter,
                Type::Gauge => MetricType::Gauge,
                Type::Histogram => MetricType::Histogram,
                Type::Info => MetricType::Info,
            };
            let help = format!("{}.", family.help());
            let mut metric = encoder.encode_descriptor(family.base(), &help, unit.as_ref(), kind)?;
            for sample in samples {
                match (family.kind(), sample.labels.as_slice()) {
                    (Type::Info, labels) => metric.encode_info(&labels)?,
                    (Type::Counter | Type::Gauge | Type::Histogram, []) => sample.encode(&mut metric)?,
                    (Type::Counter | Type::Gauge | Type::Histogram, labels) => {
                        sample.encode(&mut metric.encode_family(&labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Sample {
    fn encode(&self, metric: &mut MetricEncoder<'_>) -> fmt::Result {
        match (&self.value, self.family.kind()) {
            (Value::Number(number), Type::Counter) => {
                metric.encode_counter(number, None::<&Exemplar<NoLabelSet, f64>>)
            }
            (Value::Number(number), Type::Gauge | Type::Histogram | Type::Info) => {
                metric.encode_gauge(number)
            }
            (Value::Distribution(distribution), _) => {
                histogram::<NoLabelSet>(metric, distribution, self.family.unit() == Some("seconds"))
            }
        }
    }
}

/// Writes a distribution, whose values are microseconds if `is_time`.
#[expect(clippy::cast_precision_loss, reason = "2^53 of anything is enough")]
fn histogram<S: EncodeLabelSet>(
    metric: &mut MetricEncoder<'_>,
    distribution: &Distribution,
    is_time: bool,
) -> fmt::Result {
    let scaled = |value: u64| if is_time { value as f64 / 1e6 } else { value as f64 };
    let part = |(bound, count): &(Option<u64>, u64)| (bound.map_or(f64::INFINITY, scaled), *count);
    let parts: Vec<(f64, u64)> = distribution.parts.iter().map(part).collect();
    metric.encode_histogram::<S>(scaled(distribution.sum), distribution.count(), &parts, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::Histogram;

    #[test]
    fn a_text_is_what_openmetrics_says() {
        let histogram = Histogram::new(&[1_000, 10_000]);
        for time in [500, 2_000, 20_000] {
            histogram.take(time);
        }
        let mut samples = Samples::default();
        samples.number(Family::Commits, vec![("outcome", "applied".into())], 3);
        samples.distribution(Family::SyncTime, Vec::new(), histogram.read());
        samples.number(Family::Uptime, Vec::new(), 7);
        samples.number(Family::Commits, vec![("outcome", "conflict \"\\\n".into())], 1);
        samples.number(Family::Build, vec![("version", "1".into())], 1);
        let text = samples.text().unwrap();
        assert_eq!(
            text,
            "# HELP gatepass_build The version of the server and its cryptography.\n\
             # TYPE gatepass_build info\n\
             gatepass_build_info{version=\"1\"} 1\n\
             # HELP gatepass_uptime_seconds Time since the start.\n\
             # TYPE gatepass_uptime_seconds gauge\n\
             # UNIT gatepass_uptime_seconds seconds\n\
             gatepass_uptime_seconds 7.0\n\
             # HELP gatepass_commits Commits of requests, by outcome.\n\
             # TYPE gatepass_commits counter\n\
             gatepass_commits_total{outcome=\"applied\"} 3.0\n\
             gatepass_commits_total{outcome=\"conflict \\\"\\\\\\n\"} 1.0\n\
             # HELP gatepass_batch_sync_seconds Time until a written transaction was durable.\n\
             # TYPE gatepass_batch_sync_seconds histogram\n\
             # UNIT gatepass_batch_sync_seconds seconds\n\
             gatepass_batch_sync_seconds_sum 0.0225\n\
             gatepass_batch_sync_seconds_count 3\n\
             gatepass_batch_sync_seconds_bucket{le=\"0.001\"} 1\n\
             gatepass_batch_sync_seconds_bucket{le=\"0.01\"} 2\n\
             gatepass_batch_sync_seconds_bucket{le=\"+Inf\"} 3\n\
             # EOF\n"
        );
    }

    #[test]
    fn every_name_is_unique_and_well_formed() {
        let mut names: Vec<_> = Family::ALL.iter().map(|family| family.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Family::ALL.len());
        for family in Family::ALL {
            let is_good = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(family.name().bytes().all(is_good) && !family.help().ends_with('.'), "{family:?}");
        }
    }
}
