//! The driver of QEMU guests.
//!
//! [`label`] gives files that a guest uses to the user of its process, and back.

pub mod label;
