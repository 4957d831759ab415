//! The service's HTTP API, from the outside.
