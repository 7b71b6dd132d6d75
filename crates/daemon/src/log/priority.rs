//! Priorities of log messages, by libvirt's numbers.

use tracing::Level;
use tracing::level_filters::LevelFilter;

/// Priority of a message: 1 debug, 2 information, 3 warning, 4 error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority(u8);

impl Priority {
    /// The threshold of `--verbose`.
    pub(crate) const INFO: Self = Self(2);
    /// The default threshold.
    pub(crate) const WARNING: Self = Self(3);

    /// Reads a number; leading zeros and a plus sign are accepted, as libvirt does.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().and_then(Self::from_number)
    }

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| (1..=4).contains(number)).map(Self)
    }

    pub(super) fn of(level: Level) -> Self {
        Self(match level {
            Level::TRACE | Level::DEBUG => 1,
            Level::INFO => 2,
            Level::WARN => 3,
            Level::ERROR => 4,
        })
    }

    pub(super) fn number(self) -> u8 {
        self.0
    }

    pub(super) fn name(self) -> &'static str {
        match self.0 {
            1 => "debug",
            2 => "info",
            3 => "warning",
            _ => "error",
        }
    }

    /// The severity of RFC 5424, which journald and syslog use.
    pub(super) fn severity(self) -> u8 {
        match self.0 {
            1 => 7,
            2 => 6,
            3 => 4,
            _ => 3,
        }
    }

    /// The most verbose level with at least this priority.
    pub(super) fn level_filter(self) -> LevelFilter {
        match self.0 {
            1 => LevelFilter::TRACE,
            2 => LevelFilter::INFO,
            3 => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        }
    }
}
