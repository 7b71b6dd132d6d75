//! From text to commands with their options. No input or output, no connection.
//!
//! [`token`] cuts a command string into words, [`parse`] gives words their meaning with the help
//! of the command table. What can be read of an unfinished line is in [`parse::Partial`], for
//! completion.

pub(crate) mod parse;
pub(crate) mod token;
