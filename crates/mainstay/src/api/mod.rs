//! The control API: HTTP/JSON under `/v1` on a unix socket. Start reading at [`bodies`].

pub mod bodies;
