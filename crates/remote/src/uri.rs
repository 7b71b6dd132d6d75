//! Which daemon a URI means, and what is left of the URI for it.
//!
//! libvirt 11.3.0: src/remote/remote_sockets.c; <https://libvirt.org/uri.html>

use std::path::PathBuf;

use oxivirt::{Access, Error, ErrorCode, ErrorDomain, Result, Uri};

/// Port of daemons without encryption.
const TCP_PORT: u16 = 16509;
/// Port of daemons with encryption.
const TLS_PORT: u16 = 16514;

/// What carries the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A socket of this host.
    Unix {
        /// The socket.
        path: PathBuf,
        /// Whether it is that of a user's own daemon, which is started when it is needed.
        starts: bool,
    },
    /// A port without encryption.
    Tcp {
        /// Host.
        host: String,
        /// Port.
        port: u16,
    },
    /// A port with encryption.
    Tls {
        /// Host name; the certificate must be for it.
        host: String,
        /// Port.
        port: u16,
        /// Whether the certificate is not looked at.
        unverified: bool,
        /// Directory of certificates.
        pki: Option<PathBuf>,
    },
    /// A program whose standard streams lead there.
    Ssh(Ssh),
}

/// How the system's `ssh` is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// The program.
    pub command: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Where a URI leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What carries the connection.
    pub transport: Transport,
    /// What the daemon is asked to open.
    pub name: String,
}

/// What has to be known of the surroundings to choose.
pub trait Surroundings {
    /// Directory of a user's sockets (`XDG_RUNTIME_DIR/libvirt`).
    fn runtime_dir(&self) -> Option<PathBuf>;
    /// Whether there is a file.
    fn exists(&self, path: &std::path::Path) -> bool;
}

/// Parameters that are for us and not for the daemon.
const OURS: [&str; 17] = [
    "name",
    "socket",
    "mode",
    "auth",
    "authfile",
    "command",
    "keyfile",
    "netcat",
    "proxy",
    "no_tty",
    "sshauth",
    "known_hosts",
    "known_hosts_verify",
    "pkipath",
    "tls_priority",
    "no_verify",
    "no_sanity",
];

/// Drivers whose daemons are looked for.
const DRIVERS: [&str; 9] =
    ["network", "storage", "qemu", "lxc", "xen", "ch", "vbox", "bhyve", "remote"];
/// Drivers of our own daemon, which is started for a user when it is needed.
const OWN: [&str; 3] = ["network", "storage", "qemu"];

/// Whether a daemon could have the driver of `uri`.
#[must_use]
pub fn is_remote(uri: &Uri) -> bool {
    DRIVERS.contains(&uri.driver()) || uri.transport().is_some()
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::REMOTE, detail)
}

/// The transport and the name that `uri` means.
///
/// # Errors
/// [`ErrorCode::INVALID_ARG`] for an unknown transport, or one that excludes a host.
pub fn resolve(uri: &Uri, access: Access, around: &impl Surroundings) -> Result<Target> {
    let word = match (uri.transport(), uri.host()) {
        (Some(word), _) => word.to_ascii_lowercase(),
        (None, Some(_)) => "tls".to_owned(),
        (None, None) => "unix".to_owned(),
    };
    let host = uri.host().unwrap_or("localhost").to_owned();
    let transport = match word.as_str() {
        "unix" if uri.host().is_some() => {
            let detail = "using unix socket and remote server 'HOST' is not supported.";
            return Err(invalid(detail.replace("HOST", &host)));
        }
        "unix" => Transport::Unix {
            path: socket(uri, access, around)?,
            starts: uri.path() == "/session"
                && OWN.contains(&uri.driver())
                && uri.param("socket").is_none(),
        },
        "tcp" => Transport::Tcp { host, port: uri.port().unwrap_or(TCP_PORT) },
        "tls" => Transport::Tls {
            host,
            port: uri.port().unwrap_or(TLS_PORT),
            unverified: number(uri, "no_verify")? != 0,
            pki: uri.param("pkipath").map(PathBuf::from),
        },
        "ssh" => Transport::Ssh(ssh(uri, &host, access)?),
        other => {
            let detail = format!(
                "remote_open: transport in URL not recognised (should be unix|ssh|tcp|tls), not {other}"
            );
            return Err(invalid(detail));
        }
    };
    Ok(Target { transport, name: name(uri) })
}

fn number(uri: &Uri, name: &str) -> Result<i32> {
    match uri.param(name) {
        None => Ok(0),
        Some(text) => text
            .parse()
            .map_err(|_| invalid(format!("Failed to parse value of URI component {name}"))),
    }
}

/// The URI without what is for us.
fn name(uri: &Uri) -> String {
    if let Some(name) = uri.param("name") {
        return name.to_owned();
    }
    if uri.driver() == "remote" {
        return String::new();
    }
    let params = uri.params().iter().filter(|(key, _)| !OURS.contains(&key.as_str()));
    let query: Vec<String> =
        params.map(|(key, value)| format!("{}={}", escape(key), escape(value))).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}://{}{mark}{}", uri.driver(), uri.path(), query.join("&"))
}

/// RFC 3986 section 2.1
fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The socket on this host: that of the driver's own daemon if it exists, else that of libvirtd.
fn socket(uri: &Uri, access: Access, around: &impl Surroundings) -> Result<PathBuf> {
    if let Some(path) = uri.param("socket") {
        return Ok(path.into());
    }
    let (dir, suffix) = if uri.path() == "/session" {
        let dir = around.runtime_dir();
        (dir.ok_or_else(|| invalid("no runtime directory is known".to_owned()))?, "")
    } else {
        let suffix = if access == Access::ReadOnly { "-ro" } else { "" };
        (PathBuf::from("/var/run/libvirt"), suffix)
    };
    let direct = dir.join(format!("virt{}d-sock{suffix}", uri.driver()));
    let legacy = dir.join(format!("libvirt-sock{suffix}"));
    match uri.param("mode") {
        Some("legacy") => Ok(legacy),
        Some("direct") => Ok(direct),
        None | Some("auto") if uri.driver() == "remote" => Ok(legacy),
        None | Some("auto") if around.exists(&direct) => Ok(direct),
        None | Some("auto") if around.exists(&legacy) => Ok(legacy),
        // the message then names the daemon that is meant
        None | Some("auto") => Ok(if OWN.contains(&uri.driver()) { direct } else { legacy }),
        Some(other) => Err(invalid(format!("Unknown 'mode' value '{other}'"))),
    }
}

/// `text` quoted for a shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn ssh(uri: &Uri, host: &str, access: Access) -> Result<Ssh> {
    if host.starts_with('-') {
        return Err(invalid(format!("host name '{host}' is not valid")));
    }
    let mut arguments = Vec::new();
    let mut option = |flag: &str, value: Option<&str>| {
        if let Some(value) = value {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
    };
    let port = uri.port().map(|port| port.to_string());
    option("-p", port.as_deref());
    option("-l", uri.user());
    option("-i", uri.param("keyfile"));
    arguments.extend(["-T", "-e", "none"].map(str::to_owned));
    if number(uri, "no_tty")? != 0 {
        arguments.extend(["-o", "BatchMode=yes"].map(str::to_owned));
    }
    if number(uri, "no_verify")? != 0 {
        arguments.extend(["-o", "StrictHostKeyChecking=no"].map(str::to_owned));
    }
    arguments.extend(["--".to_owned(), host.to_owned(), far_command(uri, access)?]);
    Ok(Ssh { command: uri.param("command").unwrap_or("ssh").into(), arguments })
}

/// The shell line that joins the streams to a socket over there.
fn far_command(uri: &Uri, access: Access) -> Result<String> {
    let read_only = access == Access::ReadOnly;
    let proxy = uri.param("proxy").unwrap_or("auto");
    let netcat = uri.param("netcat").unwrap_or("nc");
    let suffix = if read_only { "-ro" } else { "" };
    let default = format!("/var/run/libvirt/libvirt-sock{suffix}");
    let path = quote(uri.param("socket").unwrap_or(&default));
    let netcat = quote(netcat);
    let by_netcat = format!(
        "if {netcat} -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then ARG=-q0; \
         else ARG=; fi; {netcat} $ARG -U {path}"
    );
    let flag = if read_only { "-r " } else { "" };
    let by_helper = format!("virt-ssh-helper {flag}{}", quote(&name(uri)));
    let wants_netcat = uri.param("netcat").is_some() || uri.param("socket").is_some();
    let line = match proxy {
        "netcat" => by_netcat,
        "auto" if wants_netcat => by_netcat,
        "native" => by_helper,
        "auto" => format!(
            "which virt-ssh-helper 1>/dev/null 2>&1; if test $? = 0; then {by_helper}; \
             else {by_netcat}; fi"
        ),
        other => return Err(invalid(format!("Unknown 'proxy' value '{other}'"))),
    };
    Ok(format!("sh -c {}", quote(&line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    struct Files(&'static [&'static str]);

    impl Surroundings for Files {
        fn runtime_dir(&self) -> Option<PathBuf> {
            Some("/run/user/7/libvirt".into())
        }

        fn exists(&self, path: &Path) -> bool {
            self.0.iter().any(|file| Path::new(file) == path)
        }
    }

    fn target(uri: &str, files: &'static [&'static str]) -> Result<Target> {
        resolve(&uri.parse().unwrap(), Access::ReadWrite, &Files(files))
    }

    #[track_caller]
    fn check_socket(uri: &str, files: &'static [&'static str], path: &str, name: &str) {
        let starts = uri.ends_with(":///session");
        let transport = Transport::Unix { path: path.into(), starts };
        let expect = Target { transport, name: name.into() };
        assert_eq!(target(uri, files).unwrap(), expect, "{uri}");
    }

    #[test]
    fn sockets_of_this_host() {
        const DIRECT: &str = "/var/run/libvirt/virtnetworkd-sock";
        const LEGACY: &str = "/var/run/libvirt/libvirt-sock";
        let name = "network:///system";
        check_socket(name, &[DIRECT, LEGACY], DIRECT, name);
        check_socket(name, &[LEGACY], LEGACY, name);
        check_socket(name, &[], DIRECT, name);
        check_socket("network:///system?mode=legacy", &[DIRECT], LEGACY, name);
        check_socket("network+unix:///system?socket=/s", &[DIRECT], "/s", name);
        check_socket("qemu:///system", &[LEGACY], LEGACY, "qemu:///system");
        let guests = "/run/user/7/libvirt/virtqemud-sock";
        check_socket("qemu:///session", &[], guests, "qemu:///session");
        check_socket("lxc:///system", &[DIRECT], LEGACY, "lxc:///system");
        const SESSION: &str = "/run/user/7/libvirt/virtnetworkd-sock";
        check_socket("network:///session", &[SESSION], SESSION, "network:///session");
        check_socket("network:///system?x=a%20b&socket=/s", &[], "/s", "network:///system?x=a%20b");
        check_socket("remote+unix://?socket=/s", &[], "/s", "");
    }

    #[test]
    fn other_hosts() {
        let Transport::Tls { host, port, unverified, pki } =
            target("network://h/system?no_verify=1&pkipath=/p", &[]).unwrap().transport
        else {
            panic!("not encrypted");
        };
        assert_eq!((host.as_str(), port, unverified), ("h", 16514, true));
        assert_eq!(pki.as_deref(), Some(Path::new("/p")));
        let expect = Transport::Tcp { host: "::1".to_owned(), port: 5 };
        assert_eq!(target("network+tcp://[::1]:5/system", &[]).unwrap().transport, expect);
    }

    #[test]
    fn ssh_gets_no_word_that_it_could_mistake() {
        let uri = "network+ssh://me@h:7/system?socket=/a'b&keyfile=/k&no_tty=1";
        let Transport::Ssh(ssh) = target(uri, &[]).unwrap().transport else { panic!("no ssh") };
        let words: Vec<&str> = ssh.arguments.iter().map(String::as_str).collect();
        let (line, rest) = words.split_last().unwrap();
        let expect = "-p 7 -l me -i /k -T -e none -o BatchMode=yes -- h";
        assert_eq!(rest.join(" "), expect);
        assert!(line.starts_with("sh -c "), "{line}");
        assert!(target("network+ssh://-oProxyCommand=x/system", &[]).is_err());
        assert!(target("network+ssh://h/system?proxy=odd", &[]).is_err());
    }

    #[test]
    fn what_leads_nowhere() {
        let message = |uri| target(uri, &[]).unwrap_err().message().to_owned();
        assert!(message("network+unix://h/system").contains("'h' is not supported"));
        assert!(message("network+pigeon:///system").contains("not pigeon"));
        assert!(message("network:///system?mode=odd").contains("'odd'"));
    }
}
