//! Facts about a connection that an entry point passes to the router, in the request's extensions.

use std::net::IpAddr;

use http::Uri;

/// The URL as the client wrote it. An entry point sets it when it had to change the path (API Gateway puts a stage in
/// front of it), because OAuth 1.0a signs the client's URL.
#[derive(Clone, Debug)]
pub struct ClientUri(pub Uri);

/// The client's address, as the connection or API Gateway reports it. Never taken from a header that the client sends.
/// Behind a proxy it is the proxy's address.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// The address of this machine that the client connected to.
#[derive(Clone, Copy, Debug)]
pub struct LocalAddress(pub IpAddr);
