//! Says hello. The event is the Task; what its creator gave is in `data`.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Task {
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    name: Option<String>,
}

#[derive(Serialize)]
struct Greeting {
    message: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(hello)).await
}

async fn hello(event: LambdaEvent<Task>) -> Result<Greeting, Error> {
    let name = event.payload.data.and_then(|data| data.name).unwrap_or_else(|| "world".to_owned());
    println!("Saying hello to {name}, request {}", event.context.request_id);
    Ok(Greeting { message: format!("Hello, {name}!") })
}
