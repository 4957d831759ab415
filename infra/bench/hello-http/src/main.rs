//! Says hello to whoever calls it over HTTP.

use lambda_http::{Body, Error, Request, RequestExt as _, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(hello)).await
}

async fn hello(request: Request) -> Result<Response<Body>, Error> {
    let parameters = request.query_string_parameters();
    let name = parameters.first("name").unwrap_or("world");
    let answer = Response::builder().header("content-type", "text/plain").body(format!("Hello, {name}!").into())?;
    Ok(answer)
}
