//! The daemon's log: libvirt's filters and outputs over [`tracing`].
//!
//! A filter (`PRIORITY:MATCH`) sets the threshold of the modules whose names match, an output
//! (`PRIORITY:stderr`, …) is a destination with a threshold of its own. Both can be changed while the daemon
//! runs; an event below every threshold costs one comparison.
//!
//! libvirt 11.3.0: src/util/virlog.c; <https://libvirt.org/logging.html>

mod filter;
mod output;
mod priority;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use filter::Filter;
use output::Output;
pub(crate) use priority::Priority;

/// Why a list of filters or outputs is not accepted. The texts are libvirt's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LogError {
    /// A filter without a colon.
    #[error("Malformed format for filter '{0}'")]
    FilterFormat(String),
    /// A filter's priority is not 1 to 4.
    #[error("Invalid priority '{priority}' for filter '{filter}'")]
    FilterPriority { priority: String, filter: String },
    /// A filter that matches nothing.
    #[error("Invalid match string '{0}'")]
    FilterMatch(String),
    /// An output without a colon.
    #[error("Malformed format for log output '{0}'")]
    OutputFormat(String),
    /// An output's priority is not 1 to 4.
    #[error("Invalid log priority '{priority}' for log output '{output}'")]
    OutputPriority { priority: String, output: String },
    /// An unknown kind of destination.
    #[error("Invalid log destination '{destination}' for log output '{output}'")]
    OutputDestination { destination: String, output: String },
    /// A destination with too few or too many parts.
    #[error(
        "Log output '{output}' does not meet the format requirements for destination type \
         '{destination}'"
    )]
    OutputRequirements { output: String, destination: String },
    /// A file that cannot be opened for appending.
    #[error("failed to open {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The definitions in a list, which blanks separate.
fn definitions(list: &str) -> impl Iterator<Item = &str> {
    list.split(' ').filter(|definition| !definition.is_empty())
}

#[derive(Debug)]
struct State {
    /// The threshold of modules that no filter matches.
    default_priority: Priority,
    filters: Vec<Filter>,
    outputs: Vec<Output>,
}

impl State {
    /// The threshold of a module; of several filters that match the first counts.
    fn threshold(&self, module: &str) -> Priority {
        let found = self.filters.iter().find(|filter| filter.matches(module));
        found.map_or(self.default_priority, |filter| filter.priority)
    }

    fn lowest_threshold(&self) -> Priority {
        let filters = self.filters.iter().map(|filter| filter.priority).min();
        filters.map_or(self.default_priority, |lowest| lowest.min(self.default_priority))
    }
}

/// The log. Clones share filters and outputs.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<RwLock<State>>);

impl Log {
    /// Messages of at least this priority, to the standard error stream.
    pub(crate) fn new(default_priority: Priority) -> Self {
        let outputs = vec![Output::stderr(default_priority)];
        Self(Arc::new(RwLock::new(State { default_priority, filters: Vec::new(), outputs })))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
        tracing::callsite::rebuild_interest_cache();
    }

    /// The filters, each followed by a blank, as libvirt formats them.
    pub(crate) fn filters(&self) -> String {
        self.read().filters.iter().map(|filter| format!("{filter} ")).collect()
    }

    /// The outputs, separated by blanks.
    pub(crate) fn outputs(&self) -> String {
        let outputs: Vec<String> = self.read().outputs.iter().map(Output::to_string).collect();
        outputs.join(" ")
    }

    /// Replaces the filters.
    ///
    /// # Errors
    /// [`LogError`]; the old filters stay.
    pub(crate) fn set_filters(&self, list: &str) -> Result<(), LogError> {
        let filters = Filter::parse_list(list)?;
        self.change(|state| state.filters = filters);
        Ok(())
    }

    /// Replaces the outputs; an empty list restores the default output.
    ///
    /// # Errors
    /// [`LogError`]; the old outputs stay.
    pub(crate) fn set_outputs(&self, list: &str) -> Result<(), LogError> {
        let outputs = Output::parse_list(list)?;
        self.change(|state| {
            state.outputs = outputs;
            if state.outputs.is_empty() {
                state.outputs.push(Output::stderr(state.default_priority));
            }
        });
        Ok(())
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let is_enabled =
            Priority::of(*metadata.level()) >= self.read().threshold(metadata.target());
        if is_enabled { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        Priority::of(*metadata.level()) >= self.read().threshold(metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.read().lowest_threshold().level_filter())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let priority = Priority::of(*metadata.level());
        let mut text = Text::default();
        event.record(&mut text);
        let line = format!(
            "{}: {} : {} : {}{}\n",
            Timestamp::now().strftime("%Y-%m-%d %H:%M:%S.%3f+0000"),
            priority.name(),
            metadata.target(),
            text.message,
            text.fields,
        );
        for output in self.read().outputs.iter().filter(|output| priority >= output.priority) {
            output.write(priority, &line);
        }
    }
}

/// The message of an event and its other fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // an event is one line, whatever text of a peer it holds
        let value = format!("{value:?}").replace(['\n', '\r'], " ");
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push_str(&format!(" {name}={value}")),
        }
    }
}

#[cfg(test)]
mod tests;
