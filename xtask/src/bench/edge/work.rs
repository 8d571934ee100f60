//! What is asked of every gateway.

/// How a gateway is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Plain,
    Tls,
}

/// Bytes of a small answer.
pub(super) const SMALL_BYTES: usize = 1 << 10;
/// Bytes of a large answer.
pub(super) const LARGE_BYTES: usize = 1 << 20;
/// Bytes of a file that the gateway itself has.
pub(super) const STATIC_BYTES: usize = 10 << 10;

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Plain64,
    Plain512,
    Tls64,
    Http2,
    Large,
    Static,
}

impl Work {
    /// Many connections come first: memory that was taken once is seldom given back.
    pub(super) const ALL: [Work; 6] =
        [Work::Plain512, Work::Plain64, Work::Tls64, Work::Http2, Work::Large, Work::Static];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Work::Plain64 => "HTTP/1.1, 64",
            Work::Plain512 => "HTTP/1.1, 512",
            Work::Tls64 => "HTTP/1.1 over TLS, 64",
            Work::Http2 => "HTTP/2, 32 x 10",
            Work::Large => "1 MiB bodies, 16",
            Work::Static => "static 10 KiB, 64",
        }
    }

    pub(super) const fn connections(self) -> u32 {
        match self {
            Work::Plain64 | Work::Tls64 | Work::Static => 64,
            Work::Plain512 => 512,
            Work::Http2 => 32,
            Work::Large => 16,
        }
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Work::Plain64 | Work::Plain512 | Work::Tls64 | Work::Http2 => "/small",
            Work::Large => "/large",
            Work::Static => "/files/page.bin",
        }
    }

    pub(super) const fn wire(self) -> Wire {
        match self {
            Work::Tls64 | Work::Http2 => Wire::Tls,
            Work::Plain64 | Work::Plain512 | Work::Large | Work::Static => Wire::Plain,
        }
    }

    /// The share of the better peer's processor time that we want to stay within; none where nothing was set.
    pub(super) const fn goal(self) -> Option<f64> {
        match self {
            Work::Plain64 | Work::Plain512 | Work::Tls64 => Some(0.85),
            Work::Http2 | Work::Static => Some(0.95),
            Work::Large => None,
        }
    }
}
