//! `hot-paths PATH TIMES`: runs a path of the service this many times, in one thread, on a database in memory, with a
//! Function that costs nothing. `infra/check-instructions` counts the instructions with callgrind: unlike seconds, they
//! are the same each time.
//!
//! Paths: `api` and `direct`, from the HTTP request to its response; `queue`, from a Task's creation to its end;
//! `list`, a page of Tasks.

#![allow(clippy::print_stderr, missing_docs)]

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use tasklane_auth::{AuthSettings, Authenticator, KeyFile};
use tasklane_http::{HttpConfig, Router};
use tasklane_model::{Caller, NewTask, Tags, TaskOptions};
use tasklane_ports::{Clock as _, SystemClock};
use tasklane_rql::{Query, Schema};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use hot_paths::engine::{Engine, Kept, name};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let path = words.next().context("usage: hot-paths api|direct|queue|list TIMES")?;
    let times: usize = words.next().context("how many times?")?.parse()?;
    let folder = tempfile::tempdir()?;
    let engine = Engine::start(Kept::InMemory, folder.path(), 4).await?;
    let router = router(&engine, folder.path())?;
    match path.as_str() {
        "api" => {
            for _ in 0..times {
                ask(&router, Method::GET, "/tasks/v1/api/hello/").await?;
                // The record of the call is part of its cost.
                engine.service.drain().await;
            }
        }
        "direct" => {
            for _ in 0..times {
                ask(&router, Method::POST, "/tasks/v1/functions/hello/execute").await?;
                engine.service.drain().await;
            }
        }
        "queue" => {
            for done in 1..=times {
                create(&engine).await?;
                while engine.lambda.started().len() < done {
                    tokio::task::yield_now().await;
                }
            }
        }
        "list" => {
            for _ in 0..100 {
                create(&engine).await?;
            }
            let query = Query::parse("sort(-creationTimestamp)&limit(20)", &Schema::TASKS)
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            for _ in 0..times {
                engine.store.tasks.list(&query, SystemClock.now()).await?;
            }
        }
        other => anyhow::bail!("there is no path {other}"),
    }
    engine.stop().await;
    Ok(())
}

fn router(engine: &Engine, folder: &std::path::Path) -> anyhow::Result<Router> {
    let authenticator = Authenticator::new(
        Arc::new(engine.store.credentials.clone()),
        Arc::new(KeyFile::open_or_create(&folder.join("key"))?),
        Arc::new(engine.store.nonces.clone()),
        Arc::new(SystemClock),
        AuthSettings::default(),
    );
    Ok(tasklane_http::router(
        engine.service.clone(),
        Arc::new(authenticator),
        HttpConfig::default(),
        TaskTracker::default(),
    ))
}

async fn ask(router: &Router, method: Method, path: &str) -> anyhow::Result<()> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost").body(Body::empty())?;
    let answer = router.clone().oneshot(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    anyhow::ensure!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

async fn create(engine: &Engine) -> anyhow::Result<()> {
    let new = NewTask {
        function_name: name("hello"),
        data: None,
        start_timestamp: None,
        priority: None,
        tags: Tags::default(),
        options: TaskOptions::default(),
    };
    engine.service.create_task(&Caller::Nobody, new).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(())
}
