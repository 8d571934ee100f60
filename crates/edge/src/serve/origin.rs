//! Where a connection comes from.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::admission::Admitted;
use crate::tls::Certified;

/// The other end of a connection, and what secures it.
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    /// What it counts as.
    pub(crate) admitted: Rc<Admitted>,
    /// What the edge has shown to be; nothing on a connection without TLS.
    pub(crate) certified: Option<Arc<Certified>>,
}

impl Origin {
    /// Whether it is secured by TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.certified.is_some()
    }
}
