//! Puts answers into HTTP.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use super::refusal::Refusal;

/// Returns an answer with a JSON body.
pub fn json(code: u16, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => with(code, "application/json", bytes.into()),
        Err(error) => text(500, &error.to_string()),
    }
}

/// Returns an answer with a plain text.
pub fn text(code: u16, text: &str) -> Response {
    with(code, "text/plain; charset=utf-8", text.to_owned().into())
}

/// Returns an answer whose body is still being made.
pub fn stream(body: Body) -> Response {
    with(200, "application/json", body)
}

/// Returns the answer to a request that was refused.
pub fn refusal(refusal: &Refusal) -> Response {
    let mut response = json(refusal.code(), &refusal.status());
    if refusal.code() == 429 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn with(code: u16, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
