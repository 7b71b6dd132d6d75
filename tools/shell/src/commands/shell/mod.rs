//! Commands of the shell itself, which need no driver.

pub(super) mod cd;
pub(super) mod complete;
pub(super) mod completion;
pub(super) mod connect;
pub(super) mod echo;
pub(super) mod help;
pub(super) mod pwd;
pub(super) mod self_test;
