//! Error chains as one line.

use std::error::Error;

/// The text of an error and of its causes, joined by `: `.
///
/// For the edge of a program: log lines and messages. Inside, causes stay in `source()` and are never
/// repeated in the text.
#[must_use]
pub fn text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn joins_causes() {
        assert_eq!(text(&Outer(io::Error::other("inner"))), "outer: inner");
        assert_eq!(text(&io::Error::other("alone")), "alone");
    }
}
