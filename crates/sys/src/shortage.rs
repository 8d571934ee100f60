//! What the system has no more of. Start reading at [`is_one`].

use std::io;

use rustix::io::Errno;

/// Whether a socket could not be made or connected because this process or the system is out of descriptors, memory or local
/// ports: nothing that the other end has to do with.
pub fn is_one(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL | Errno::AGAIN)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_end_does_is_no_shortage() {
        for (error, expected) in [
            (Errno::MFILE, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::CONNREFUSED, false),
            (Errno::TIMEDOUT, false),
            (Errno::HOSTUNREACH, false),
        ] {
            assert_eq!(is_one(&error.into()), expected, "{error}");
        }
        assert!(!is_one(&io::ErrorKind::UnexpectedEof.into()));
    }
}
