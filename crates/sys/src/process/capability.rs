//! The one right of root's that a process of another user may keep: to listen on privileged ports.
//!
//! Start reading at [`Kept`]. A change of user takes every right away, so it is made with rights kept; then the process gives
//! up all but one ([`only_privileged_ports`]), which the kernel lets the program that it runs have too (capabilities(7),
//! "ambient"). Invariant: the program is given that one, and may gain no other.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities,
};

const PRIVILEGED_PORTS: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

/// Whether this process may let another listen on privileged ports. Root of a container may have been denied it.
pub(super) fn may_pass_on() -> bool {
    capabilities(None).is_ok_and(|sets| sets.permitted.contains(PRIVILEGED_PORTS))
}

/// While this is there, a process that this thread forks can take up rights again after it has changed its user.
#[derive(Debug)]
pub(super) struct Kept(());

impl Kept {
    pub(super) fn begin() -> io::Result<Self> {
        set_keep_capabilities(true)?;
        Ok(Self(()))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // A process may always set this back (prctl(2)), and only its own change of user is concerned.
        let _: rustix::io::Result<()> = set_keep_capabilities(false);
    }
}

/// Gives up every right but to listen on privileged ports. The program that is run next has that one.
pub(super) fn only_privileged_ports() -> io::Result<()> {
    let one = PRIVILEGED_PORTS;
    set_capabilities(None, CapabilitySets { effective: one, permitted: one, inheritable: one })?;
    Ok(configure_capability_in_ambient_set(one, true)?)
}
