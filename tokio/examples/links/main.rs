//! Short links: a web service, whose clients try again until they have an answer, and which is killed
//! again and again meanwhile; each request makes one link, and no link that was answered is lost.
//!
//! ```text
//! cargo run --release --package annulus-tokio --example links -- check --kills 10
//! cargo run --release --package annulus-tokio --example links -- run DIRECTORY 127.0.0.1:8080
//! curl -i -H 'Idempotency-Key: 7' -d 'https://www.rust-lang.org' http://127.0.0.1:8080/links
//! ```
//!
//! `POST /links` makes a link of the URL in its body, and answers with the link's code. The header
//! `Idempotency-Key` names the request: the code is stored under it in the same commit as the link, so
//! a request that comes again, because its answer was lost, gets the same code. `GET /CODE` redirects.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "an example fails by panicking"
)]

mod client;
#[path = "../../../examples/support/mod.rs"]
mod support;

use annulus::topology::KeyspaceSpec;
use annulus::{Batch, ConditionalWrite, Expect};
use annulus_tokio::{Keyspace, PoolOptions, Store};
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::path::Path;
use tokio::net::TcpListener;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match words[..] {
        ["run", directory, address] => runtime.block_on(serve(Path::new(directory), address)),
        ["check", "--kills", kills] => runtime.block_on(client::check(kills.parse().unwrap())),
        _ => panic!("run DIRECTORY HOST:PORT, or check --kills N"),
    }
}

#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) store: Store,
    /// By code: the URL.
    pub(crate) links: Keyspace,
    /// By key of the request: the code that it was answered with.
    pub(crate) requests: Keyspace,
}

impl Links {
    pub(crate) async fn open(directory: &Path) -> Self {
        // A service would rather refuse a request than answer it late.
        let pool = PoolOptions::new().waiting_max(10_000);
        let builder = annulus::Store::builder(directory).shards(2);
        let store = Store::open_with(builder, pool).await.unwrap();
        let links = store.keyspace_or_create("links", KeyspaceSpec::hash()).await.unwrap();
        let requests = store.keyspace_or_create("requests", KeyspaceSpec::hash()).await.unwrap();
        Self { store, links, requests }
    }

    /// Makes a link for a request, unless it has one. Returns its code.
    async fn create(&self, request: &str, url: &str) -> annulus::Result<String> {
        loop {
            let code: String = std::iter::repeat_with(fastrand::alphanumeric).take(7).collect();
            let (links, requests) = (self.links.blocking(), self.requests.blocking());
            let mut batch = Batch::new();
            batch.require(requests, request, Expect::Absent);
            batch.require(links, &code, Expect::Absent);
            batch.put(requests, request, &code);
            batch.put(links, &code, url);
            let ConditionalWrite::Unmet(unmet) = self.store.write_if(batch).await? else {
                return Ok(code);
            };
            // Another attempt at the request was first; or else the code is another link's.
            let answered = unmet.into_iter().find(|unmet| unmet.key == request.as_bytes());
            if let Some(code) = answered.and_then(|unmet| unmet.found) {
                return Ok(String::from_utf8_lossy(&code).into_owned());
            }
        }
    }
}

async fn create(State(links): State<Links>, headers: HeaderMap, url: String) -> Response {
    let request = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let Some(request) = request.filter(|key| !key.is_empty()) else {
        return (StatusCode::BAD_REQUEST, "name the request by Idempotency-Key\n").into_response();
    };
    match links.create(request, &url).await {
        Ok(code) => (StatusCode::CREATED, code).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn follow(State(links): State<Links>, UrlPath(code): UrlPath<String>) -> Response {
    match links.links.get(code).await {
        Ok(Some(url)) => {
            let url = String::from_utf8_lossy(&url).into_owned();
            (StatusCode::FOUND, [(header::LOCATION, url)]).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => refuse(&error),
    }
}

/// A client that tries again does so after a 503.
fn refuse(error: &annulus::Error) -> Response {
    let retry = error.is_retryable() || error.kind() == annulus::ErrorKind::Closed;
    let status =
        if retry { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
    (status, format!("{error:#}\n")).into_response()
}

/// The service. Ctrl-C ends it: requests that have begun are answered, then the store is closed.
async fn serve(directory: &Path, address: &str) {
    let links = Links::open(directory).await;
    let router = Router::new()
        .route("/links", post(create))
        .route("/{code}", get(follow))
        .with_state(links.clone());
    let listener = TcpListener::bind(address).await.unwrap();
    let interrupted = async { tokio::signal::ctrl_c().await.unwrap() };
    axum::serve(listener, router).with_graceful_shutdown(interrupted).await.unwrap();
    links.store.shutdown().await.unwrap();
}
