//! Made-up input: paths that services read in their own ways, and frames of HTTP/2.

mod http2;
mod routes;
