//! libvirt behind its Python binding, in a process of its own.

use std::fmt;
use std::io::{self, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Answers one document after another; see there for the framing.
const SCRIPT: &str = include_str!("peer.py");

/// What one side made of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Accepted, and printed like this.
    Accepted(String),
    /// Refused.
    Refused {
        /// Error number.
        code: i32,
        /// Error domain.
        domain: i32,
        /// Error text.
        message: String,
    },
}

/// What the schema says of a document that a reader could start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaVerdict {
    /// Every element and attribute is in the schema.
    Inside,
    /// Something is not.
    Outside,
}

impl SchemaVerdict {
    /// The verdict behind the result of a strict definition: an error number, 0 for none.
    #[must_use]
    pub const fn of(code: i32) -> Self {
        const XML_INVALID_SCHEMA: i32 = 92;
        if code == XML_INVALID_SCHEMA { Self::Outside } else { Self::Inside }
    }
}

/// Why libvirt cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// No interpreter, or it cannot be started.
    #[error("cannot start '{python}'")]
    Start {
        /// The interpreter.
        python: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The process is gone: most likely python3-libvirt is not installed.
    #[error("libvirt's side ended (is python3-libvirt installed?)")]
    Gone(#[source] io::Error),
}

/// A running libvirt on its in-memory test driver.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts libvirt's side.
    ///
    /// # Errors
    /// [`PeerError`]
    #[expect(clippy::disallowed_methods, reason = "the process lives as long as the comparison")]
    pub fn start(python: &str) -> Result<Self, PeerError> {
        let start = |source| PeerError::Start { python: python.to_owned(), source };
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let missing = || start(io::Error::other("no pipe"));
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Self { child, stdin, stdout })
    }

    /// Has libvirt define, print and forget a document; and again, held against its schema.
    ///
    /// # Errors
    /// [`PeerError::Gone`]
    pub fn ask(&mut self, document: &str) -> Result<(Answer, SchemaVerdict), PeerError> {
        self.exchange(document).map_err(PeerError::Gone)
    }

    fn exchange(&mut self, document: &str) -> io::Result<(Answer, SchemaVerdict)> {
        let length = u32::try_from(document.len()).map_err(io::Error::other)?;
        self.stdin.write_all(&length.to_be_bytes())?;
        self.stdin.write_all(document.as_bytes())?;
        self.stdin.flush()?;
        let mut head = [[0; 4]; 4];
        for word in &mut head {
            self.stdout.read_exact(word)?;
        }
        let [code, domain, validated, length] = head.map(i32::from_be_bytes);
        let mut text = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.stdout.read_exact(&mut text)?;
        let message = String::from_utf8_lossy(&text).into_owned();
        let answer = match code {
            0 => Answer::Accepted(message),
            _ => Answer::Refused { code, domain, message },
        };
        Ok((answer, SchemaVerdict::of(validated)))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends by itself when its input does; this only does not wait for that.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

impl Answer {
    /// This answer without a UUID that libvirt made up: `ours` has none.
    #[must_use]
    pub fn without_generated(&self, ours: &Self) -> Self {
        match (self, ours) {
            (Self::Accepted(text), Self::Accepted(ours)) if !ours.contains("\n  <uuid>") => {
                let (head, tail) = text.split_once("\n  <uuid>").unwrap_or((text, "\n"));
                let tail = tail.split_once('\n').map_or("", |(_, tail)| tail);
                Self::Accepted(format!("{head}\n{tail}"))
            }
            _ => self.clone(),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(text) => f.write_str(text),
            Self::Refused { code, domain, message } => write!(f, "{code}/{domain}: {message}"),
        }
    }
}
