//! The paths, and what each answers.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    desk::{ALIVE_WITHIN, Desk},
    metrics,
    webhook::{BODY_BYTES_MAX, Hooks, Outcome, Provider},
};
use crate::reconcile::Report;

/// How long a body may take to come.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// What the paths share.
pub(super) struct App {
    pub(super) desk: Desk,
    pub(super) hooks: Hooks,
}

/// The paths.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/webhook/{provider}", post(webhook))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "there is no such path"))
        .method_not_allowed_fallback(async || refusal(StatusCode::METHOD_NOT_ALLOWED, "this path has another method"))
        .with_state(app)
}

/// An answer that says what is wrong.
pub(super) fn refusal(code: StatusCode, message: &str) -> Response {
    (code, Json(json!({"error": message}))).into_response()
}

fn hung() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "the loop does not answer")
}

async fn healthz(State(app): State<Arc<App>>) -> Response {
    match app.desk.brief().await {
        Some(_) => Json(json!({"alive": true})).into_response(),
        None => {
            tracing::warn!("the loop has not answered for {} s", ALIVE_WITHIN.as_secs());
            hung()
        }
    }
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    let Some(report) = app.desk.brief().await else { return hung() };
    let code = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(json!({"ready": report.ready, "missing": missing(&report)}))).into_response()
}

/// What was not read yet.
fn missing(report: &Report) -> Vec<Value> {
    let unread = report.repositories.iter().filter(|repository| repository.revision.is_none());
    let unread = unread.map(|repository| json!({"repository": repository.name, "error": repository.error}));
    let unsynced = report.clusters.iter().filter(|cluster| !cluster.synced);
    let unsynced = unsynced.map(|cluster| json!({"cluster": cluster.name, "error": cluster.away}));
    unread.chain(unsynced).collect()
}

async fn status(State(app): State<Arc<App>>) -> Response {
    let Some(report) = app.desk.whole().await else { return hung() };
    written("application/json", move || Some(format!("{:#}\n", report.json()))).await
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let Some(report) = app.desk.whole().await else { return hung() };
    let deliveries = app.hooks.deliveries();
    written(metrics::CONTENT_TYPE, move || metrics::text(report, deliveries)).await
}

/// A text that takes a while to write, with thousands of plans: written where nobody waits for the thread.
async fn written(kind: &'static str, text: impl FnOnce() -> Option<String> + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(text).await {
        Ok(Some(text)) => ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response(),
        Ok(None) | Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of tidegate"),
    }
}

async fn webhook(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(provider) = Provider::named(&provider).filter(|_| app.hooks.are_taken()) else {
        return refusal(StatusCode::NOT_FOUND, "there is no such path");
    };
    let outcome = match tokio::time::timeout(BODY_DEADLINE, read(&headers, body)).await {
        Ok(Ok(body)) => app.hooks.take(provider, &headers, &body),
        Ok(Err(outcome)) => outcome,
        Err(_) => Outcome::Slow,
    };
    app.hooks.count(provider, outcome);
    let (code, message) = outcome.answer();
    match code.is_success() {
        true => (code, Json(json!({"message": message}))).into_response(),
        false => refusal(code, message),
    }
}

/// The body, unless it says or turns out to be too large.
async fn read(headers: &HeaderMap, body: Body) -> Result<axum::body::Bytes, Outcome> {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(Outcome::TooLarge);
    }
    to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(|source| source.to_string().contains("limit")) {
            Outcome::TooLarge
        } else {
            Outcome::Slow
        }
    })
}
