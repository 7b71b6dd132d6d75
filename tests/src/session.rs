//! One open connection that does as it is told, and says how long each call took.
//!
//! A session is a program inside the namespaces: `oxivirt-session` for Oxivirt, with the embedded
//! driver in its process, and a few lines of Python over libvirt's own library for libvirt. Both
//! read a line a call, `VERB NETWORK [XML]`, and answer with the nanoseconds that the call took
//! inside the connection, or with `error NUMBER DOMAIN MESSAGE`. Starting programs, opening connections
//! and talking to this process are never part of a time.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::{Host, Subject, program};
use crate::process::{Run, Running};

/// The same as `oxivirt-session`, over libvirt's library.
const LIBVIRT: &str = r#"
import libvirt, sys, time
libvirt.registerErrorHandler(lambda context, error: None, None)
connection = libvirt.open(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    verb, name, xml = (line.rstrip("\n").split(" ", 2) + [""])[:3]
    try:
        network = None if verb == "define" else connection.networkLookupByName(name)
        begin = time.perf_counter_ns()
        if verb == "define":
            connection.networkDefineXML(xml)
        elif verb == "start":
            network.create()
        elif verb == "destroy":
            network.destroy()
        elif verb == "undefine":
            network.undefine()
        elif verb == "add-dns-host":
            network.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
                           libvirt.VIR_NETWORK_SECTION_DNS_HOST, -1, xml,
                           libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
                           | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG)
        print(time.perf_counter_ns() - begin, flush=True)
    except libvirt.libvirtError as error:
        message = error.get_error_message().replace("\n", " ")
        print("error", error.get_error_code(), error.get_error_domain(), message, flush=True)
"#;

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

    /// The program of a session, to be changed before it is begun.
    ///
    /// # Errors
    /// It has not been built.
    pub fn command(host: &Host) -> Result<Run> {
        let uri = host.uri();
        Ok(match host.subject() {
            Subject::Oxivirt => {
                let session = program("oxivirt-session")?;
                host.netns().run([session.as_os_str(), uri.as_ref()])
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
    /// `verb` is `define`, `start`, `destroy`, `undefine` or `add-dns-host`; line breaks in `xml`
    /// become blanks.
    ///
    /// # Errors
    /// [`Error::Refused`]
    pub fn call(&mut self, verb: &str, network: &str, xml: &str) -> Result<Duration> {
        let xml = xml.replace('\n', " ");
        self.0.send(&format!("{verb} {network} {xml}"))?;
        let answer = self.0.line()?;
        answer.parse().map(Duration::from_nanos).map_err(|_| refused(&answer))
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
