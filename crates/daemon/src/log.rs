//! The log: what is in it and where it goes, in libvirt's words.
//!
//! `LEVEL:MATCH` filters and `LEVEL:stderr`, `LEVEL:file:PATH`, `LEVEL:journald` outputs, separated by
//! blanks; levels are 1 debug, 2 information, 3 warnings, 4 errors. A match is looked for in the name of the
//! module that speaks. Both can be changed while the daemon runs; what nobody wants costs a comparison at
//! most.
//!
//! libvirt 11.3.0: src/util/virlog.c; <https://libvirt.org/logging.html>

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Words that are no filters or outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LogError {
    /// No filter.
    #[error("Malformed format for log filter '{0}'")]
    Filter(String),
    /// No output.
    #[error("Malformed format for log output '{0}'")]
    Output(String),
    /// An output that cannot be used.
    #[error("cannot log to '{path}': {reason}")]
    Open { path: PathBuf, reason: String },
}

/// Weight of a message; the numbers are libvirt's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Weight(u8);

impl Weight {
    const DEBUG: Self = Self(1);
    const WARNING: Self = Self(3);

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| (1..=4).contains(number)).map(Self)
    }

    fn of(level: Level) -> Self {
        Self(match level {
            Level::TRACE | Level::DEBUG => 1,
            Level::INFO => 2,
            Level::WARN => 3,
            Level::ERROR => 4,
        })
    }

    fn word(self) -> &'static str {
        match self.0 {
            1 => "debug",
            2 => "info",
            3 => "warning",
            _ => "error",
        }
    }

    /// As in RFC 5424, for whoever reads the standard error stream of a service.
    fn priority(self) -> u8 {
        match self.0 {
            1 => 7,
            2 => 6,
            3 => 4,
            _ => 3,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter {
    weight: Weight,
    /// As it was given, with stars around.
    pattern: String,
}

impl Filter {
    fn parse(word: &str) -> Option<Self> {
        let (weight, text) = word.split_once(':')?;
        let text = text.strip_prefix('+').unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        let pattern = if text.contains('*') { text.to_owned() } else { format!("*{text}*") };
        Some(Self { weight: Weight::parse(weight)?, pattern })
    }

    fn matches(&self, target: &str) -> bool {
        oxivirt_rpc::tls::matches(&self.pattern, target)
    }
}

#[derive(Debug)]
struct Output {
    weight: Weight,
    to: To,
}

#[derive(Debug)]
enum To {
    Stderr,
    Journal,
    File(PathBuf, File),
}

impl Output {
    fn parse(word: &str) -> Result<Self, LogError> {
        let malformed = || LogError::Output(word.to_owned());
        let mut parts = word.splitn(3, ':');
        let weight = parts.next().and_then(Weight::parse).ok_or_else(malformed)?;
        let to = match (parts.next(), parts.next()) {
            (Some("stderr"), None) => To::Stderr,
            (Some("journald"), None) => To::Journal,
            (Some("file"), Some(path)) if path.starts_with('/') => {
                let open = OpenOptions::new().create(true).append(true).open(path);
                let failed = |error: std::io::Error| LogError::Open {
                    path: Path::new(path).to_owned(),
                    reason: error.to_string(),
                };
                To::File(path.into(), open.map_err(failed)?)
            }
            _ => return Err(malformed()),
        };
        Ok(Self { weight, to })
    }

    fn write(&self, weight: Weight, line: &str) {
        // nothing is left to tell a failure to
        drop(match &self.to {
            To::Stderr => std::io::stderr().write_all(line.as_bytes()),
            To::Journal => {
                std::io::stderr().write_all(format!("<{}>{line}", weight.priority()).as_bytes())
            }
            To::File(_, file) => (&*file).write_all(line.as_bytes()),
        });
    }
}

#[derive(Debug)]
struct State {
    /// For what no filter matches.
    weight: Weight,
    filters: Vec<Filter>,
    outputs: Vec<Output>,
}

impl State {
    fn weight_of(&self, target: &str) -> Weight {
        let found = self.filters.iter().find(|filter| filter.matches(target));
        found.map_or(self.weight, |filter| filter.weight)
    }

    fn least(&self) -> Weight {
        let filters = self.filters.iter().map(|filter| filter.weight).min();
        filters.map_or(self.weight, |least| least.min(self.weight))
    }
}

/// The log. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<RwLock<State>>);

impl Log {
    /// Warnings to the standard error stream, or everything down to `weight`.
    pub(crate) fn new(weight: Option<u32>) -> Self {
        let weight = weight.and_then(|number| u8::try_from(number).ok());
        let weight =
            weight.filter(|number| (1..=4).contains(number)).map_or(Weight::WARNING, Weight);
        let outputs = vec![Output { weight: Weight::DEBUG, to: To::Stderr }];
        Self(Arc::new(RwLock::new(State { weight, filters: Vec::new(), outputs })))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
        tracing::callsite::rebuild_interest_cache();
    }

    /// The filters, as libvirt tells them.
    pub(crate) fn filters(&self) -> String {
        let mut text = String::new();
        for filter in &self.read().filters {
            text.push_str(&format!("{}:{} ", filter.weight.0, filter.pattern));
        }
        text
    }

    /// The outputs, as libvirt tells them.
    pub(crate) fn outputs(&self) -> String {
        let state = self.read();
        let words = state.outputs.iter().map(|output| {
            let weight = output.weight.0;
            match &output.to {
                To::Stderr => format!("{weight}:stderr"),
                To::Journal => format!("{weight}:journald"),
                To::File(path, _) => format!("{weight}:file:{}", path.display()),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Other filters.
    ///
    /// # Errors
    /// [`LogError::Filter`]; the old ones stay.
    pub(crate) fn set_filters(&self, text: &str) -> Result<(), LogError> {
        let parse =
            |word: &str| Filter::parse(word).ok_or_else(|| LogError::Filter(word.to_owned()));
        let filters = text.split_whitespace().map(parse).collect::<Result<_, _>>()?;
        self.change(|state| state.filters = filters);
        Ok(())
    }

    /// Other outputs; without any the log is as at the start.
    ///
    /// # Errors
    /// [`LogError`]; the old ones stay.
    pub(crate) fn set_outputs(&self, text: &str) -> Result<(), LogError> {
        let mut outputs =
            text.split_whitespace().map(Output::parse).collect::<Result<Vec<_>, _>>()?;
        if outputs.is_empty() {
            outputs.push(Output { weight: Weight::DEBUG, to: To::Stderr });
        }
        self.change(|state| state.outputs = outputs);
        Ok(())
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let wanted = Weight::of(*metadata.level()) >= self.read().weight_of(metadata.target());
        if wanted { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        Weight::of(*metadata.level()) >= self.read().weight_of(metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.read().least().0 {
            1 => LevelFilter::TRACE,
            2 => LevelFilter::INFO,
            3 => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let weight = Weight::of(*metadata.level());
        let mut text = Text::default();
        event.record(&mut text);
        let line = format!(
            "{}: {} : {} : {}{}\n",
            Timestamp::now().strftime("%Y-%m-%d %H:%M:%S.%3f+0000"),
            weight.word(),
            metadata.target(),
            text.message,
            text.fields,
        );
        for output in self.read().outputs.iter().filter(|output| weight >= output.weight) {
            output.write(weight, &line);
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
        // one event is one line, whatever a peer made us say
        let value = format!("{value:?}").replace(['\n', '\r'], " ");
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push_str(&format!(" {name}={value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_outputs_come_back_as_libvirt_tells_them() {
        let log = Log::new(None);
        assert_eq!((log.filters().as_str(), log.outputs().as_str()), ("", "1:stderr"));
        log.set_filters("3:util 4:object").unwrap();
        assert_eq!(log.filters(), "3:*util* 4:*object* ");
        log.set_outputs("4:stderr").unwrap();
        assert_eq!(log.outputs(), "4:stderr");
        for wrong in ["bogus", "5:stderr", "1:file", "1:file:relative", "1:syslog:x"] {
            let error = log.set_outputs(wrong).unwrap_err();
            assert_eq!(error.to_string(), format!("Malformed format for log output '{wrong}'"));
        }
        assert!(log.set_filters("9:x").is_err());
        assert_eq!(
            (log.filters().as_str(), log.outputs().as_str()),
            ("3:*util* 4:*object* ", "4:stderr")
        );
        log.set_filters("").unwrap();
        assert_eq!(log.filters(), "");
    }

    #[test]
    fn what_is_wanted_goes_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::new(Some(3));
        log.set_outputs(&format!("1:file:{}", path.display())).unwrap();
        let subscriber = tracing_subscriber::layer::SubscriberExt::with(
            tracing_subscriber::registry(),
            log.clone(),
        );
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("not wanted");
            tracing::warn!(number = 7, "wanted\nindeed");
            log.set_filters("1:log").unwrap();
            tracing::debug!("now wanted");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].ends_with(": wanted indeed number=7"), "{text}");
        assert!(lines[0].contains(": warning : "), "{text}");
        assert!(lines[1].ends_with(": now wanted"), "{text}");
    }
}
