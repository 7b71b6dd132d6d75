//! A host with the software under test on it.
//!
//! [`Subject`] chooses at run time whether that is Oxivirt or a real libvirt: a scenario counts
//! once libvirt passes it, and then says something about Oxivirt.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::cgroups;
use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::process::{Finished, Run};
use crate::require::peer;
use crate::root::TempRoot;
use crate::session::Session;
use crate::snapshot::{Change, Section, Snapshot};

/// The software under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// This workspace: `oxish` with the embedded driver, which lives as long as one command.
    Oxivirt,
    /// A real libvirtd and virsh.
    Libvirt,
}

impl Subject {
    /// From `OXIVIRT_SUBJECT`, `oxivirt` unless set.
    ///
    /// # Errors
    /// The variable holds another word.
    pub fn from_environment() -> Result<Self> {
        match std::env::var("OXIVIRT_SUBJECT") {
            Ok(word) => word.parse(),
            Err(_) => Ok(Self::Oxivirt),
        }
    }
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "oxivirt" => Ok(Self::Oxivirt),
            "libvirt" => Ok(Self::Libvirt),
            other => {
                Err(Error::Wrong(format!("subject '{other}'; it can be 'oxivirt' or 'libvirt'")))
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oxivirt => "oxivirt",
            Self::Libvirt => "libvirt",
        })
    }
}

/// How the software under test sets firewall rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// nftables.
    Nftables,
    /// `iptables` and `ip6tables`.
    Iptables,
}

impl Backend {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Nftables, Self::Iptables];

    /// Its word in `network.conf`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }

    /// From `OXIVIRT_BACKEND`, `nftables` unless set.
    ///
    /// # Errors
    /// The variable holds another word.
    pub fn from_environment() -> Result<Self> {
        match std::env::var("OXIVIRT_BACKEND").as_deref() {
            Err(_) | Ok("nftables") => Ok(Self::Nftables),
            Ok("iptables") => Ok(Self::Iptables),
            Ok(other) => {
                Err(Error::Wrong(format!("backend '{other}'; there are: nftables, iptables")))
            }
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes the tables and chains of iptables, which stay after their first use.
const WARM_UP_IPTABLES: &str = "
for program in iptables ip6tables; do
  while read -r table chain; do
    $program -t $table -A $chain -j ACCEPT
    $program -t $table -D $chain -j ACCEPT
  done <<'END'
filter INPUT
filter OUTPUT
filter FORWARD
nat POSTROUTING
mangle POSTROUTING
END
done
";

/// The program of [`crate::campaign`].
pub const CAMPAIGN: &str = "oxivirt-campaign";

/// Where a program of this workspace was built: in the directory that `OXIVIRT_PROGRAMS` names, or
/// beside the running test or program.
///
/// # Errors
/// It has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    let chosen = std::env::var_os("OXIVIRT_PROGRAMS").map(|path| PathBuf::from(path).join(name));
    if let Some(path) = chosen.filter(|path| path.is_file()) {
        return Ok(path);
    }
    let here = std::env::current_exe().map_err(Error::file(Path::new("/proc/self/exe")))?;
    let found = here.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    found.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Error::Wrong(format!(
            "program '{name}' is not beside '{}'; run `cargo build --workspace --bins` first",
            here.display()
        ))
    })
}

/// A subcommand of [`crate::campaign`], to be run by the harness.
///
/// # Errors
/// The program has not been built.
pub fn campaign(subcommand: &str) -> Result<Run> {
    Ok(Run::new([program(CAMPAIGN)?]).args([subcommand]))
}

/// A throw-away host that runs the software under test.
#[derive(Debug)]
pub struct Host {
    subject: Subject,
    netns: Netns,
    /// What `netns` is nested in, if it is: ends after it.
    outer: Option<Outer>,
    root: TempRoot,
    /// What the URI says beside the directory.
    option: &'static str,
    /// Variables of the environment of sessions.
    environment: Vec<(&'static str, String)>,
}

/// Where a libvirtd was started from.
#[derive(Debug)]
struct Outer {
    netns: Netns,
    /// The script that runs it.
    script: PathBuf,
    backend: Backend,
}

impl Host {
    /// Makes a host; a libvirtd is running when this returns.
    ///
    /// # Errors
    /// No namespaces, no libvirt, or `oxish` has not been built.
    pub fn new(subject: Subject) -> Result<Self> {
        Self::with_backend(subject, Backend::from_environment()?)
    }

    /// As [`Self::new`], with a backend for firewall rules.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_backend(subject: Subject, backend: Backend) -> Result<Self> {
        let host = match subject {
            Subject::Oxivirt => {
                program("oxish")?;
                program("oxivirt_leaseshelper")?;
                Self {
                    subject,
                    netns: Netns::new()?,
                    outer: None,
                    root: TempRoot::new()?,
                    option: "",
                    environment: Vec::new(),
                }
            }
            Subject::Libvirt => Self::libvirt(&peer(), backend)?,
        };
        if backend == Backend::Iptables {
            host.warm_up()?;
        }
        if subject == Subject::Oxivirt {
            host.configure(&format!("firewall_backend = \"{backend}\"\n"))?;
        }
        Ok(host)
    }

    /// Creates what stays after the first use of iptables.
    ///
    /// # Errors
    /// iptables fails.
    pub fn warm_up(&self) -> Result<()> {
        self.netns.sh(WARM_UP_IPTABLES).map(drop)
    }

    /// Writes our `network.conf`; the next opening of the driver reads it.
    ///
    /// # Errors
    /// The file cannot be written.
    #[expect(clippy::disallowed_methods, reason = "a file of the test without a reader yet")]
    pub fn configure(&self, text: &str) -> Result<()> {
        let path = self.root.join("etc/libvirt/network.conf");
        let directory = path.parent().unwrap_or(&path);
        std::fs::create_dir_all(directory).map_err(Error::file(directory))?;
        std::fs::write(&path, text).map_err(Error::file(&path))
    }

    /// A host on which `script` runs a libvirtd.
    ///
    /// # Errors
    /// No namespaces, no libvirt.
    pub fn libvirt(script: &Path, backend: Backend) -> Result<Self> {
        Self::libvirt_on(Netns::new()?, script, backend)
    }

    /// A host in namespaces of the caller on which `script` runs a libvirtd.
    ///
    /// # Errors
    /// No libvirt.
    pub fn libvirt_on(netns: Netns, script: &Path, backend: Backend) -> Result<Self> {
        let script = script.canonicalize().map_err(Error::file(script))?;
        let outer = Outer { netns, script, backend };
        let root = TempRoot::new()?;
        outer.run("up", root.path())?;
        let holder = root.join("holder.pid");
        let text = std::fs::read_to_string(&holder).map_err(Error::file(&holder))?;
        let pid = text.trim().parse().map_err(|_| Error::Format {
            what: holder.display().to_string(),
            found: text.clone(),
        })?;
        let netns = outer.netns.of_process(pid)?;
        // Refused as busy where the script has mounted that of this namespace.
        netns
            .sh("mount -t sysfs sysfs /sys 2>/dev/null || mountpoint -q /sys; ip link set lo up")?;
        Ok(Self {
            subject: Subject::Libvirt,
            netns,
            outer: Some(outer),
            root,
            option: "",
            environment: Vec::new(),
        })
    }

    /// What runs here.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// The namespaces in which bridges appear.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The directory below which the software's files are.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A path of libvirt's layout, as programs in the namespaces see it.
    pub fn layout(&self, path: &str) -> PathBuf {
        match self.subject {
            Subject::Oxivirt => self.root.join(path),
            Subject::Libvirt => PathBuf::from(path),
        }
    }

    /// The URI of the driver, as the shell takes it with `-c`.
    pub fn uri(&self) -> String {
        let root = self.root().display();
        match self.subject {
            Subject::Oxivirt if self.option.is_empty() => format!("network:///embed?root={root}"),
            Subject::Oxivirt => format!("network:///embed?root={root}&{}", self.option),
            Subject::Libvirt => {
                format!("qemu:///system?socket={root}/run/libvirt/libvirt-sock")
            }
        }
    }

    /// Adds a parameter to the URI, for sessions.
    pub fn set_option(&mut self, option: &'static str) {
        self.option = option;
    }

    /// Sets a variable of the environment of the driver, for sessions.
    pub fn set_environment(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// Variables of the environment of sessions.
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// A shell command, to be run or changed.
    ///
    /// # Errors
    /// The shell has not been built.
    pub fn command(&self, words: &[&str]) -> Result<Run> {
        let uri = self.uri();
        let run = match self.subject {
            Subject::Oxivirt => {
                let oxish = program("oxish")?;
                self.netns.run([oxish.as_os_str(), "-c".as_ref(), uri.as_ref()])
            }
            Subject::Libvirt => self.netns.run(["virsh", "-c", &uri]),
        };
        Ok(run.args(words))
    }

    /// A command of our shell with the embedded driver on the very files that the software under test
    /// has: what takes a libvirt's networks over.
    ///
    /// # Errors
    /// The shell has not been built.
    pub fn ours(&self, words: &[&str]) -> Result<Run> {
        let root = match self.subject {
            Subject::Oxivirt => self.root().to_string_lossy().into_owned(),
            Subject::Libvirt => "/".to_owned(),
        };
        let uri = format!("network:///embed?root={root}");
        let oxish = program("oxish")?;
        let run = self.netns.run([oxish.as_os_str(), "-c".as_ref(), uri.as_ref()]);
        Ok(run.args(words))
    }

    /// Ends libvirt's daemon; its networks go on.
    ///
    /// # Errors
    /// It does not end, or there is none.
    pub fn daemon_down(&self) -> Result<()> {
        self.outer()?.run("down", self.root())
    }

    /// Starts libvirt's daemon again.
    ///
    /// # Errors
    /// It does not come up, or there is none.
    pub fn daemon_up(&self) -> Result<()> {
        self.outer()?.run("up", self.root())
    }

    fn outer(&self) -> Result<&Outer> {
        self.outer.as_ref().ok_or_else(|| Error::Wrong("there is no daemon".into()))
    }

    /// Runs a shell command, whatever its status.
    ///
    /// # Errors
    /// It could not be run, or hangs.
    pub fn shell(&self, words: &[&str]) -> Result<Finished> {
        self.command(words)?.output()
    }

    /// Runs a shell command that has to succeed; returns what it printed.
    ///
    /// # Errors
    /// As [`Self::shell`], or another status than 0.
    pub fn done(&self, words: &[&str]) -> Result<String> {
        Ok(self.shell(words)?.ok()?.stdout)
    }

    /// Writes a file for the shell to read; it is outside of what snapshots see.
    ///
    /// # Errors
    /// The file cannot be written.
    #[expect(clippy::disallowed_methods, reason = "a file of the test without a reader yet")]
    pub fn document(&self, text: &str) -> Result<tempfile::NamedTempFile> {
        let file = tempfile::Builder::new()
            .prefix("oxivirt-document-")
            .suffix(".xml")
            .tempfile()
            .map_err(Error::file(&std::env::temp_dir()))?;
        std::fs::write(file.path(), text).map_err(Error::file(file.path()))?;
        Ok(file)
    }

    /// Defines a network from its XML.
    ///
    /// # Errors
    /// As [`Self::done`].
    pub fn define(&self, xml: &str) -> Result<()> {
        let file = self.document(xml)?;
        self.done(&["net-define", &file.path().to_string_lossy()]).map(drop)
    }

    /// Starts a defined network.
    ///
    /// # Errors
    /// As [`Self::done`].
    pub fn start(&self, name: &str) -> Result<()> {
        self.done(&["net-start", name]).map(drop)
    }

    /// Stops a network.
    ///
    /// # Errors
    /// As [`Self::done`].
    pub fn destroy(&self, name: &str) -> Result<()> {
        self.done(&["net-destroy", name]).map(drop)
    }

    /// Ends the driver and starts it again, over the networks that are running.
    ///
    /// # Errors
    /// It does not come back.
    pub fn restart(&self) -> Result<()> {
        match &self.outer {
            // Every command opens and closes the driver.
            None => self.done(&["net-list", "--all"]).map(drop),
            Some(outer) => {
                outer.run("down", self.root())?;
                outer.run("up", self.root())
            }
        }
    }

    /// Adds a `<host>` to the DNS of a running network, live and in its definition.
    ///
    /// # Errors
    /// As [`Self::done`].
    pub fn add_dns_host(&self, name: &str, xml: &str) -> Result<()> {
        Session::open(self)?.call("add-dns-host", name, xml).map(drop)
    }

    /// Whether a network is listed as active.
    ///
    /// # Errors
    /// As [`Self::done`].
    pub fn is_active(&self, name: &str) -> Result<bool> {
        let listed = self.done(&["net-list", "--name"])?;
        Ok(listed.lines().any(|line| line.trim() == name))
    }

    /// The state of this host and of the files below its root.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let snapshot = Snapshot::take(&self.netns, self.root())?;
        Ok(match self.subject {
            Subject::Oxivirt => snapshot,
            // Logs, sockets and helpers of a daemon that other drivers of libvirt have too.
            Subject::Libvirt => snapshot.without(|section, key| {
                let of_networks = ["etc/qemu/networks", "var/dnsmasq", "run/libvirt/network"];
                match section {
                    Section::File => !of_networks.iter().any(|path| key.starts_with(path)),
                    Section::Process => !key.contains("dnsmasq"),
                    _ => false,
                }
            }),
        })
    }

    /// The directory of the files that dnsmasq and the lease helper use.
    pub fn dnsmasq_directory(&self) -> PathBuf {
        match self.subject {
            Subject::Oxivirt => self.root.join("var/lib/libvirt/dnsmasq"),
            Subject::Libvirt => self.root.join("var/dnsmasq"),
        }
    }

    /// The live state of a network.
    pub fn status_file(&self, name: &str) -> PathBuf {
        self.root.join(&format!("run/libvirt/network/{name}.xml"))
    }
}

impl Outer {
    fn run(&self, verb: &str, root: &Path) -> Result<()> {
        let mut words: Vec<&std::ffi::OsStr> = cgroups::prefix().map(AsRef::as_ref).into();
        words.extend(["bash".as_ref(), self.script.as_os_str(), verb.as_ref()]);
        words.push(root.as_os_str());
        if verb == "up" {
            words.push(self.backend.as_str().as_ref());
        }
        self.netns.run(words).stdout().map(drop)
    }
}

/// What the first start and destroy of network `name` on `bridge` may leave, as libvirt leaves it:
/// files that the next start rewrites, and the switches of forwarding (both subjects), and shared
/// chains (libvirt only).
///
/// The sources are the tables "Files" and "Destroy" of the driver's contract.
pub fn is_documented_leftover(name: &str, bridge: &str, change: &Change) -> bool {
    match change.section {
        Section::Sysctl => {
            // `accept_redirects` follows `forwarding` inside the kernel.
            change.key == "net/ipv4/ip_forward"
                || change.key.starts_with("net/ipv4/conf/")
                    && (change.key.ends_with("/forwarding")
                        || change.key.ends_with("/accept_redirects"))
                || change.key.starts_with("net/ipv6/conf/") && change.key.ends_with("/forwarding")
        }
        // Shared chains of iptables, which nft lists as its own.
        Section::Nftables
            if ["ip ", "ip6 "].iter().any(|family| change.key.contains(family))
                && change.key.contains(" LIBVIRT_") =>
        {
            true
        }
        Section::Nftables => {
            let shared = ["table", "chain", "rule"].iter().any(|kind| change.key.starts_with(kind))
                && change.key.contains(" libvirt_network");
            // Of the rules only the jumps: those in the other chains belong to networks.
            shared
                && (!change.key.starts_with("rule")
                    || change.key.contains("libvirt_network forward"))
        }
        Section::File => {
            let below = |directory: &str, names: &[String]| {
                change.key == directory.trim_end_matches('/')
                    || names.iter().any(|known| change.key == format!("{directory}{known}"))
            };
            let dnsmasq = [
                format!("{name}.conf"),
                format!("{name}.hostsfile"),
                format!("{name}.addnhosts"),
                format!("{bridge}.status"),
                format!("{bridge}.macs"),
            ];
            let run = [
                format!("{name}.pid"),
                name.to_owned(),
                format!("{name}/ports"),
                "autostarted".to_owned(),
                "driver.pid".to_owned(),
            ];
            below("var/lib/libvirt/dnsmasq/", &dnsmasq)
                || below("var/dnsmasq/", &dnsmasq)
                || below("run/libvirt/network/", &run)
        }
        _ => false,
    }
}
