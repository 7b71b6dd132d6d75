//! One open connection that executes commands and reports how long each call took.
//!
//! A session is a program inside the namespaces: `oxivirt-campaign session` for Oxivirt, with the embedded
//! driver in its process, and a few lines of Python over libvirt's own library for libvirt. Both
//! read a line a call, `VERB NETWORK [ARGUMENT]`, and answer with the nanoseconds that the call took
//! inside the connection and what it returned as a JSON string, or with `error NUMBER DOMAIN MESSAGE`.
//! Starting programs, opening connections and talking to this process are never part of a time.
//!
//! | verb | argument | returns |
//! |---|---|---|
//! | `define`, `create-xml` | XML | |
//! | `start`, `destroy`, `undefine` | | |
//! | `add-dns-host` | XML | |
//! | `update` | `COMMAND SECTION INDEX FLAGS XML`, numbers as in libvirt | |
//! | `xml` | flags | the document |
//! | `active` | | `true` or `false` |
//! | `leases` | a MAC address or nothing | a line each: `IFACE EXPIRY TYPE MAC IAID ADDRESS/PREFIX HOSTNAME CLIENTID`, `-` for what there is not |
//! | `port-create` | `FLAGS XML` | its UUID |
//! | `port-list` | | UUIDs, a line each |
//! | `port-xml`, `port-delete`, `port-limits` | UUID | the document; nothing; `NAME=VALUE` a line each |
//! | `port-limit` | `UUID NAME=VALUE…` | |
//! | `events` | | what happened since it was last asked, `NETWORK EVENT` a line each |

use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::{Host, Subject, campaign};
use crate::process::{Run, Running};

/// The same as `oxivirt-campaign session`, over libvirt's library.
const LIBVIRT: &str = include_str!("session/libvirt.py");

/// An open connection to the software of a host.
#[derive(Debug)]
pub struct Session(Running);

impl Session {
    /// Opens a connection on a host.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn open(host: &Host) -> Result<Self> {
        Self::begin(&Self::command(host)?)
    }

    /// Opens a connection that receives events.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn listen(host: &Host) -> Result<Self> {
        Self::begin(&Self::command(host)?.args(["events"]))
    }

    /// The program of a session, to be changed before it is begun.
    ///
    /// # Errors
    /// It has not been built.
    pub fn command(host: &Host) -> Result<Run> {
        let uri = host.uri();
        Ok(match host.subject() {
            Subject::Oxivirt => {
                let run = campaign("session")?.args([&uri]).behind(host.netns().prefix());
                host.environment().iter().fold(run, |run, (name, value)| run.env(name, value))
            }
            // The distribution's own Python: its package of the module is for that one only.
            Subject::Libvirt => host.netns().run(["/usr/bin/python3", "-c", LIBVIRT, &uri]),
        })
    }

    /// Runs the program of a session.
    ///
    /// # Errors
    /// [`Error::Refused`] if the connection cannot be opened; libvirt's Python module is missing.
    pub fn begin(command: &Run) -> Result<Self> {
        let mut running = command.start()?;
        match running.line()?.as_str() {
            "ready" => Ok(Self(running)),
            other => Err(refused(other)),
        }
    }

    /// Makes one call; the time it took inside the connection.
    ///
    /// The verbs are those of the module's table; line breaks in the argument become blanks.
    ///
    /// # Errors
    /// [`Error::Refused`]
    pub fn call(&mut self, verb: &str, network: &str, argument: &str) -> Result<Duration> {
        Ok(self.both(verb, network, argument)?.0)
    }

    /// Makes one call; what it returned.
    ///
    /// # Errors
    /// [`Error::Refused`]
    pub fn ask(&mut self, verb: &str, network: &str, argument: &str) -> Result<String> {
        Ok(self.both(verb, network, argument)?.1)
    }

    fn both(&mut self, verb: &str, network: &str, argument: &str) -> Result<(Duration, String)> {
        let argument = argument.replace('\n', " ");
        self.0.send(&format!("{verb} {network} {argument}"))?;
        let answer = self.0.line()?;
        let read = || {
            let (time, text) = answer.split_once(' ')?;
            let text = serde_json::from_str(text).ok()?;
            Some((Duration::from_nanos(time.parse().ok()?), text))
        };
        read().ok_or_else(|| refused(&answer))
    }
}

/// Reads `error NUMBER DOMAIN MESSAGE`.
fn refused(answer: &str) -> Error {
    let mut words = answer.splitn(4, ' ');
    let read = (|| {
        words.next().filter(|word| *word == "error")?;
        let number = words.next()?.parse().ok()?;
        let domain = words.next()?.parse().ok()?;
        Some(Error::Refused { number, domain, message: words.next()?.to_owned() })
    })();
    read.unwrap_or_else(|| Error::Format {
        what: "a session's answer".into(),
        found: answer.into(),
    })
}
