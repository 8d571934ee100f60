//! The node: the control process that owns one state directory.

pub(crate) mod call;
pub(crate) mod layout;
