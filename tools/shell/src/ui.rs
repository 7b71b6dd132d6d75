//! Output: results, extra text and messages.
//!
//! Results and extra text go to stdout, messages to stderr. stdout is buffered and flushed before stderr is
//! written, before the shell waits, and at its end: so the streams interleave correctly in one file, and a long
//! listing is one write.
//!
//! virsh: `vshPrint`, `vshPrintExtra`, `vshError`, tools/vsh.c

use crate::i18n::tr;
use crate::log::{Level, Log};
use std::{
    io::{self, Write},
    time::Duration,
};

/// Buffered output beyond this is flushed.
const BUFFER_LIMIT: usize = 64 * 1024;

/// Whether extra text is printed in addition to results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Verbosity {
    #[default]
    Normal,
    /// `-q`
    Quiet,
}

/// Whether the time of each command is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Timing {
    #[default]
    Off,
    /// `-t`
    On,
}

/// Style of text on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Faint,
    /// A good state, or an added line.
    Added,
    /// A bad state, or a removed line.
    Removed,
    /// A warning.
    Notice,
}

/// Whether styles are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Colors {
    #[default]
    Never,
    Shown,
}

/// Whether hints are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Hints {
    /// As virsh, which prints none.
    #[default]
    Hidden,
    Shown,
}

/// Whether a command ends with an empty line, or the time it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Trailer {
    #[default]
    Wanted,
    /// The result is machine-readable.
    Unwanted,
}

/// Whether progress is printed to stderr.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    #[default]
    Hidden,
    Shown,
}

/// The stream for messages while they are suppressed.
pub(crate) struct SilencedWriter(Box<dyn Write>);

impl std::fmt::Debug for SilencedWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SilencedWriter")
    }
}

/// stdout, stderr and the log of the shell.
pub(crate) struct Ui {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    buffer: Vec<u8>,
    pub(crate) verbosity: Verbosity,
    pub(crate) timing: Timing,
    pub(crate) colors: Colors,
    pub(crate) progress: Progress,
    pub(crate) hints: Hints,
    trailer: Trailer,
    pub(crate) log: Log,
}

impl Ui {
    pub(crate) fn new(out: Box<dyn Write>, err: Box<dyn Write>, log: Log) -> Self {
        let (verbosity, timing) = (Verbosity::Normal, Timing::Off);
        let (colors, trailer) = (Colors::Never, Trailer::Wanted);
        let (buffer, progress, hints) = (Vec::new(), Progress::Hidden, Hints::Hidden);
        Self { out, err, buffer, verbosity, timing, colors, progress, hints, trailer, log }
    }

    /// Suppresses messages until [`Ui::restore_errors`].
    pub(crate) fn silence_errors(&mut self) -> SilencedWriter {
        SilencedWriter(std::mem::replace(&mut self.err, Box::new(io::sink())))
    }

    /// Prints messages again.
    pub(crate) fn restore_errors(&mut self, muted: SilencedWriter) {
        self.err = muted.0;
    }

    /// Text in a style, if styles are shown.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        // ECMA-48, SGR
        let code = match (self.colors, style) {
            (Colors::Never, _) | (_, Style::Plain) => return text.to_owned(),
            (_, Style::Bold) => "1",
            (_, Style::Notice) => "33",
            (_, Style::Faint) => "2",
            (_, Style::Added) => "32",
            (_, Style::Removed) => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Prints progress on a terminal; the next message or result replaces it.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn progress(&mut self, text: &str) -> io::Result<()> {
        if self.progress == Progress::Hidden || self.is_quiet() {
            return Ok(());
        }
        self.flush()?;
        self.write_err(format!("\r{text}\x1b[K").as_bytes());
        Ok(())
    }

    /// Erases the text of [`Ui::progress`].
    pub(crate) fn clear_progress(&mut self) {
        if self.progress == Progress::Shown && !self.is_quiet() {
            self.write_err(b"\r\x1b[K");
        }
    }

    /// Prints a machine-readable result, without a trailer.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn data(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.trailer = Trailer::Unwanted;
        self.print(text)
    }

    /// Whether extra text is suppressed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// Prints a result.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn print(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.buffer.extend_from_slice(text.as_ref());
        if self.buffer.len() >= BUFFER_LIMIT { self.flush() } else { Ok(()) }
    }

    /// Prints extra text, which `-q` suppresses.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn extra(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        if self.is_quiet() { Ok(()) } else { self.print(text) }
    }

    /// Prints the trailer of a command: an empty line, or its time.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn trailer(&mut self, took: Duration) -> io::Result<()> {
        if std::mem::take(&mut self.trailer) == Trailer::Unwanted {
            return Ok(());
        }
        if self.timing == Timing::Off {
            return self.extra("\n");
        }
        let ms = format!("{:.3}", took.as_secs_f64() * 1000.0);
        self.print(tr!("\n(Time: {ms} ms)\n\n", ms = ms))
    }

    /// Prints an error message, after all results so far.
    ///
    /// # Errors
    /// If stdout cannot be written. A failure of stderr is ignored.
    pub(crate) fn error(&mut self, message: &str) -> io::Result<()> {
        self.flush()?;
        let mut line = tr!("error: {message}", message = message);
        line.push('\n');
        self.log(Level::Error, message);
        self.write_err(line.as_bytes());
        Ok(())
    }

    /// Prints a hint below a message, if hints are shown.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn hint(&mut self, text: &str) -> io::Result<()> {
        if self.hints == Hints::Hidden {
            return Ok(());
        }
        self.flush()?;
        let line = tr!("hint: {text}", text = text);
        self.write_err(format!("{line}\n").as_bytes());
        Ok(())
    }

    /// Prints a debug message (`-d`, `-l`).
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn debug(&mut self, level: Level, message: &str) -> io::Result<()> {
        if !self.log.wants(level) {
            return Ok(());
        }
        self.flush()?;
        self.log(level, message);
        self.write_err(format!("{message}\n").as_bytes());
        Ok(())
    }

    fn log(&mut self, level: Level, message: &str) {
        if self.log.write(level, message).is_err() {
            self.log.stop();
            let message = tr!("failed to write the log file");
            let line = tr!("error: {message}", message = message);
            self.write_err(format!("{line}\n").as_bytes());
        }
    }

    fn write_err(&mut self, bytes: &[u8]) {
        // a failure of stderr cannot be reported
        let _ignored = self.err.write_all(bytes).and_then(|()| self.err.flush());
    }

    /// Writes buffered output.
    ///
    /// # Errors
    /// If stdout cannot be written; the buffer is then discarded.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        self.buffer.clear();
        written
    }
}

impl std::fmt::Debug for Ui {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ui").field("verbosity", &self.verbosity).finish_non_exhaustive()
    }
}

/// Streams in memory, for tests.
#[cfg(test)]
pub(crate) mod capture {
    use std::{cell::RefCell, io, rc::Rc};

    /// A stream that keeps what is written.
    #[derive(Clone, Default)]
    pub(crate) struct Capture(Rc<RefCell<Vec<u8>>>);

    impl Capture {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl io::Write for Capture {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{capture::Capture, *};

    #[test]
    fn one_file_for_both_streams_reads_in_order() {
        let both = Capture::default();
        let mut ui = Ui::new(Box::new(both.clone()), Box::new(both.clone()), Log::default());
        ui.print("a\n").unwrap();
        ui.error("b").unwrap();
        ui.extra("c\n").unwrap();
        ui.trailer(Duration::ZERO).unwrap();
        assert_eq!(both.text(), "a\nerror: b\n");
        ui.flush().unwrap();
        assert_eq!(both.text(), "a\nerror: b\nc\n\n");
    }

    #[test]
    fn hints_are_printed_only_where_they_are_shown() {
        let err = Capture::default();
        let mut ui = Ui::new(Box::new(Capture::default()), Box::new(err.clone()), Log::default());
        ui.hint("a").unwrap();
        ui.hints = Hints::Shown;
        ui.hint("b").unwrap();
        assert_eq!(err.text(), "hint: b\n");
    }

    #[test]
    fn quiet_keeps_results_and_times() {
        let out = Capture::default();
        let mut ui = Ui::new(Box::new(out.clone()), Box::new(Capture::default()), Log::default());
        ui.verbosity = Verbosity::Quiet;
        ui.extra("extra").unwrap();
        ui.print("result").unwrap();
        ui.trailer(Duration::ZERO).unwrap();
        ui.timing = Timing::On;
        ui.trailer(Duration::from_micros(1_500)).unwrap();
        ui.flush().unwrap();
        assert_eq!(out.text(), "result\n(Time: 1.500 ms)\n\n");
    }

    #[test]
    fn a_failed_write_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut ui = Ui::new(Box::new(Full), Box::new(Capture::default()), Log::default());
        ui.print("x").unwrap();
        assert_eq!(ui.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        ui.flush().unwrap();
    }
}
