//! Spans of what was done, for an OpenTelemetry collector. Without the feature `otlp` they are nothing, and cost nothing.

use std::{fmt::Display, time::Instant};

use super::tally::Stage;

/// A stage that began then and has just ended, with what it was about.
#[cfg(feature = "otlp")]
pub(super) fn span(stage: Stage, began: Instant, about: &[(&'static str, &dyn Display)]) {
    use opentelemetry::{
        Context, KeyValue, global,
        trace::{Span as _, Tracer as _},
    };
    let end = std::time::SystemTime::now();
    let Some(start) = end.checked_sub(began.elapsed()) else { return };
    let tracer = global::tracer("tidegate");
    let about = about.iter().map(|(name, value)| KeyValue::new(*name, value.to_string()));
    let builder = tracer.span_builder(stage.name()).with_start_time(start).with_attributes(about);
    tracer.build_with_context(builder, &Context::new()).end_with_timestamp(end);
}

/// Nobody collects spans.
#[cfg(not(feature = "otlp"))]
pub(super) const fn span(_: Stage, _: Instant, _: &[(&'static str, &dyn Display)]) {}
