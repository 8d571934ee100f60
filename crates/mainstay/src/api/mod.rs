//! The control API: HTTP/JSON under `/v1` on a unix socket. Start reading at [`bodies`] (what is said) and
//! [`endpoints`] (what can be called): the router and the OpenAPI document both come from that one table.
//!
//! Nothing here decides or keeps anything about the stack: every change is a call to the node.

pub(crate) mod bodies;
pub(crate) mod client;
pub(crate) mod endpoints;
pub(crate) mod failure;
pub(crate) mod handlers;
pub(crate) mod journal;
pub(crate) mod logs;
pub(crate) mod openapi;
pub(crate) mod peer;
pub(crate) mod request;
pub(crate) mod sentence;
pub(crate) mod server;
pub(crate) mod stream;

#[cfg(test)]
mod tests;
