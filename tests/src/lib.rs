//! To be written.

pub mod conformance;
