//! Implementations of ports that are the same on AWS and on one machine.

mod http_documents;

pub use http_documents::HttpDocuments;
