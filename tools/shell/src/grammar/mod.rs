//! The grammar of command strings. No input or output, no connection.
//!
//! [`token`] splits a string into words, [`parse`] turns words into commands with the help of the command table.
//! [`parse::Partial`] is the result for an unfinished line, for completion.

pub(crate) mod parse;
pub(crate) mod token;
