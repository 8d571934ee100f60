//! What a route does besides forwarding, each as a decision over values.

pub mod cors;
pub mod encoding;
pub mod forwarded;
pub mod hops;
pub mod limit;
pub mod network;
pub mod security_headers;
