//! The engine against real child processes of this machine's node and python.
//!
//! Expectations about handlers, errors and log lines are those of AWS's own runtime clients, against which the tables
//! in `node` and `python` were run: npm `aws-lambda-ric` 3.3.0 (`dist/index.mjs`: `Errors.js`, `UserFunction.js`,
//! `CallbackContext.js`, `LogPatch.js`, `Runtime.js`) and 4.0.2, PyPI `awslambdaric` 4.2.2 (`bootstrap.py`,
//! `lambda_runtime_marshaller.py`). Set `TASKLANE_TEST_RUNTIME_DIR` to do that again.

mod cost;
mod deploy;
mod entry;
mod examples;
mod freezing;
mod harness;
mod jail;
mod limits;
mod logs;
mod node;
mod processes;
mod provided;
mod python;
mod runtime;
mod runtime_api;

pub(crate) use harness::install_bubblewrap;
