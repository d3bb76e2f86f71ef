//! Writes the table's metrics as text, from one report.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};

use crate::{
    reconcile::{BOUNDS_S, Durations, Report},
    serve::webhook::Deliveries,
};

use super::{Kind, METRICS};

/// What the page is, for the scraper.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What one page is made from.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) report: Arc<Report>,
    pub(super) deliveries: Deliveries,
}

/// The page; none where it can't be written, which would be a fault.
pub fn text(report: Arc<Report>, deliveries: Deliveries) -> Option<String> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { report, deliveries }));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).ok()?;
    Some(page)
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in &METRICS {
            let (name, kind) = match metric.kind {
                Kind::Counter => (metric.name.trim_end_matches("_total"), MetricType::Counter),
                Kind::Gauge => (metric.name, MetricType::Gauge),
                Kind::Histogram => (metric.name, MetricType::Histogram),
            };
            let help = metric.help.trim_end_matches('.');
            let encoder = encoder.encode_descriptor(name, help, None, kind)?;
            (metric.samples)(self, &mut Sink { encoder, labels: metric.labels })?;
        }
        Ok(())
    }
}

/// Where the samples of one metric go.
pub(super) struct Sink<'a> {
    encoder: MetricEncoder<'a>,
    labels: &'static [&'static str],
}

/// No metric has an exemplar.
const NO_EXEMPLAR: Option<&Exemplar<[(&str, &str); 0], u64>> = None;

impl Sink<'_> {
    /// A gauge; the values are those of the table's labels, in their order.
    pub(super) fn gauge<const N: usize>(&mut self, values: [&str; N], value: f64) -> fmt::Result {
        let labels = pairs(self.labels, values);
        if labels.is_empty() {
            return self.encoder.encode_gauge(&value);
        }
        self.encoder.encode_family(&labels)?.encode_gauge(&value)
    }

    /// A counter.
    pub(super) fn counter<const N: usize>(&mut self, values: [&str; N], value: u64) -> fmt::Result {
        let labels = pairs(self.labels, values);
        self.encoder.encode_family(&labels)?.encode_counter(&value, NO_EXEMPLAR)
    }

    /// A histogram.
    pub(super) fn histogram<const N: usize>(&mut self, values: [&str; N], durations: &Durations) -> fmt::Result {
        let labels = pairs(self.labels, values);
        let classes = durations.classes.iter().copied().chain([durations.longer]);
        let bounds = BOUNDS_S.into_iter().chain([f64::INFINITY]);
        let classes: Vec<(f64, u64)> = bounds.zip(classes).collect();
        let count = classes.iter().map(|(_, count)| count).sum();
        self.encoder.encode_family(&labels)?.encode_histogram::<[(&str, &str); 0]>(
            durations.sum_s,
            count,
            &classes,
            None,
        )
    }
}

fn pairs<'v, const N: usize>(labels: &'static [&'static str], values: [&'v str; N]) -> Vec<(&'static str, &'v str)> {
    debug_assert_eq!(labels.len(), N, "{labels:?}");
    labels.iter().copied().zip(values).collect()
}
