//! Log filters: `PRIORITY:MATCH`, separated by blanks.
//!
//! libvirt 11.3.0: `virLogParseFilter`, src/util/virlog.c

use std::fmt;

use super::priority::Priority;
use super::{LogError, definitions};

/// The threshold of the modules whose names match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) priority: Priority,
    /// A pattern with `*` and `?`; anything may precede and follow what was given.
    pattern: String,
}

impl Filter {
    /// Reads one definition. Text after a second colon is ignored, as in libvirt.
    fn parse(definition: &str) -> Result<Self, LogError> {
        let mut parts = definition.split(':');
        let (Some(priority), Some(text)) = (parts.next(), parts.next()) else {
            return Err(LogError::FilterFormat(definition.to_owned()));
        };
        let Some(priority) = Priority::parse(priority) else {
            let (priority, filter) = (priority.to_owned(), definition.to_owned());
            return Err(LogError::FilterPriority { priority, filter });
        };
        // a plus sign once asked for stack traces
        let name = text.strip_prefix('+').unwrap_or(text);
        if name.is_empty() {
            return Err(LogError::FilterMatch(text.to_owned()));
        }
        Ok(Self { priority, pattern: format!("*{name}*") })
    }

    pub(super) fn parse_list(list: &str) -> Result<Vec<Self>, LogError> {
        definitions(list).map(Self::parse).collect()
    }

    /// Whether the filter applies to the module with this name.
    pub(super) fn matches(&self, module: &str) -> bool {
        oxivirt_rpc::tls::matches(&self.pattern, module)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.priority.number(), self.pattern)
    }
}
