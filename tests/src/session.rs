//! One open connection that does as it is told, and says how long each call took.
//!
//! A session is a program inside the namespaces: `oxivirt-session` for Oxivirt, with the embedded
//! driver in its process, and a few lines of Python over libvirt's own library for libvirt. Both
//! read a line a call, `VERB NETWORK [XML]`, and answer with the nanoseconds that the call took
//! inside the connection, or with `error` and a message. Starting programs, opening connections
//! and talking to this process are never part of a time.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::{Host, Subject, program};
use crate::process::Running;

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
        print("error", error, flush=True)
"#;

/// An open connection to the software of a host.
#[derive(Debug)]
pub struct Session(Running);

impl Session {
    /// Opens a connection on a host.
    ///
    /// # Errors
    /// The connection cannot be opened, or libvirt's Python module is not installed.
    pub fn open(host: &Host) -> Result<Self> {
        let uri = host.uri();
        let run = match host.subject() {
            Subject::Oxivirt => {
                let session = program("oxivirt-session")?;
                host.netns().run([session.as_os_str(), uri.as_ref()])
            }
            // The distribution's own Python: its package of the module is for that one only.
            Subject::Libvirt => host.netns().run(["/usr/bin/python3", "-c", LIBVIRT, &uri]),
        };
        let mut running = run.start()?;
        match running.line()?.as_str() {
            "ready" => Ok(Self(running)),
            other => Err(Error::Wrong(format!("no connection: {other}"))),
        }
    }

    /// Makes one call; the time it took inside the connection.
    ///
    /// `verb` is `define`, `start`, `destroy`, `undefine` or `add-dns-host`; line breaks in `xml`
    /// become blanks.
    ///
    /// # Errors
    /// The call failed.
    pub fn call(&mut self, verb: &str, network: &str, xml: &str) -> Result<Duration> {
        let xml = xml.replace('\n', " ");
        self.0.send(&format!("{verb} {network} {xml}"))?;
        let answer = self.0.line()?;
        answer
            .parse()
            .map(Duration::from_nanos)
            .map_err(|_| Error::Wrong(format!("{verb} {network}: {answer}")))
    }
}
