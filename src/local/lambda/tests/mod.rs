//! Tests of the engine with real child processes, in this machine's node, python, ruby and java.
//!
//! The expectations about handlers, errors and log lines come from AWS's own runtime clients. The tables in `node` and
//! `python` were checked against them, and those in `ruby`: npm `aws-lambda-ric` 3.3.0 (`dist/index.mjs`: `Errors.js`, `UserFunction.js`,
//! `CallbackContext.js`, `LogPatch.js`, `Runtime.js`) and 4.0.2, PyPI `awslambdaric` 4.2.2 (`bootstrap.py`,
//! `lambda_runtime_marshaller.py`), gem `aws_lambda_ric` 3.1.3. Set `TASKLANE_TEST_RUNTIME_DIR` to check them again.

mod cost;
mod deploy;
mod entry;
mod examples;
mod freezing;
mod harness;
mod images;
mod jail;
mod java;
mod layers;
mod limits;
mod logs;
mod node;
mod portable;
mod processes;
mod provided;
mod python;
mod ruby;
mod runtime;
mod runtime_api;
mod secrets;

pub(crate) use harness::install_bubblewrap;
