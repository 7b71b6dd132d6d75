//! The same commands of virt-admin against `oxivirtd` and a real libvirtd, side by side: every answer and
//! every exit status has to be the same.
//!
//! Masked are the name of the main server, the order of servers (libvirt's is that of a hash table), numbers
//! and times of clients, and directories.

use std::path::{Path, PathBuf};

use oxivirt_tests::process::wait_until;
use oxivirt_tests::raw::{self, Raw};
use oxivirt_tests::require::{Need, need, peer};
use oxivirt_tests::{Backend, Daemon, Host, Netns, apply, scenario};

use super::daemon;

/// A daemon and the clients that were connected to it.
struct Side<'a> {
    netns: &'a Netns,
    /// Name of the main server, which is also the scheme of the URI.
    server: &'static str,
    root: &'a Path,
    socket: PathBuf,
    admin: PathBuf,
    uri: &'static str,
    clients: Vec<Raw>,
    /// Number of the newest client.
    id: String,
}

impl<'a> Side<'a> {
    fn ours(daemon: &'a Daemon) -> Self {
        Self {
            netns: daemon.netns(),
            server: "virtnetworkd",
            root: daemon.root(),
            socket: daemon.socket(),
            admin: daemon.admin_socket(),
            uri: "network:///system",
            clients: Vec::new(),
            id: String::new(),
        }
    }

    fn peer(host: &'a Host) -> Self {
        Self {
            netns: host.netns(),
            server: "libvirtd",
            root: host.root(),
            socket: host.root().join("run/libvirt/libvirt-sock"),
            admin: host.root().join("run/libvirt/libvirt-admin-sock"),
            uri: "qemu:///system",
            clients: Vec::new(),
            id: String::new(),
        }
    }

    /// Exit status and output of a command.
    fn run(&self, words: &[String]) -> (Option<i32>, String) {
        let uri = format!("{}:///system?socket={}", self.server, self.admin.display());
        let run = self.netns.run(["virt-admin", "-c", &uri]).args(words);
        let finished = run.output().unwrap();
        (finished.status.code(), format!("{}{}", finished.stdout, finished.stderr))
    }

    fn list(&self) -> Vec<String> {
        let (_, text) = self.run(&["client-list".to_owned(), self.server.to_owned()]);
        let rows = text.lines().skip(2).filter_map(|line| line.split_whitespace().next());
        rows.map(str::to_owned).collect()
    }

    fn join(&mut self) {
        self.clients.push(Raw::open_uri(&self.socket, self.uri).unwrap());
        self.id = self.list().pop().expect("the new client is listed");
    }

    /// Closes the oldest client and waits until the daemon has noticed.
    fn leave(&mut self) {
        let n_clients = self.clients.len() - 1;
        drop(self.clients.remove(0));
        wait_until("the client to be gone", || Ok(self.list().len() <= n_clients)).unwrap();
    }

    /// Does one line of the list; what can be compared.
    fn perform(&mut self, line: &str) -> String {
        match line {
            "@client" => self.join(),
            "@leave" => self.leave(),
            command => {
                let words = words(command).into_iter().map(|word| match word.as_str() {
                    "libvirtd" => self.server.to_owned(),
                    "ID" => self.id.clone(),
                    _ => word,
                });
                let (status, text) = self.run(&words.collect::<Vec<_>>());
                return format!("status {status:?}\n{}", self.comparable(&text));
            }
        }
        String::new()
    }

    fn comparable(&self, text: &str) -> String {
        let text = text
            .replace(&self.root.display().to_string(), "ROOT")
            .replace("libvirt-admin-sock", "SERVER-admin-sock")
            .replace(self.server, "SERVER");
        // columns are as wide as their contents, and a rule is as long as its table
        let lines = text.lines().filter(|line| !line.trim_matches(['-', ' ']).is_empty());
        let mut lines: Vec<_> = lines.map(|line| self.line(line)).collect();
        if lines.first().is_some_and(|line| line == "Id Name") {
            // the numbers are those of the rows
            let names = lines.split_off(1).into_iter();
            let mut names: Vec<_> =
                names.map(|row| row.split_once(' ').unwrap().1.to_owned()).collect();
            names.sort();
            lines.extend(names);
        }
        lines.join("\n")
    }

    fn line(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, transport, ..] if words.len() == 4 && is_date(words[2]) => {
                format!("NUMBER {transport} DATE")
            }
            ["connection_time:", ..] => "connection_time: DATE".to_owned(),
            ["id", ":", _] => "id : NUMBER".to_owned(),
            _ if self.id.is_empty() => words.join(" "),
            _ => words.join(" ").replace(&format!("'{}'", self.id), "'NUMBER'"),
        }
    }
}

fn is_date(word: &str) -> bool {
    word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// The words of a line; double quotes keep blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[apply(scenario)]
fn virt_admin_says_the_same_of_both_daemons() {
    need(&[Need::Netns, Need::Peer, Need::Program("virt-admin")]);
    let host = Host::libvirt(&peer(), Backend::Nftables).unwrap();
    let daemon = daemon();
    let (mut ours, mut theirs) = (Side::ours(&daemon), Side::peer(&host));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/admin");
    let mut differences = Vec::new();
    for file in ["commands.txt", "live.txt"] {
        let text = std::fs::read_to_string(data.join(file)).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let (mut found, mut expect) = (ours.perform(line), theirs.perform(line));
            // A worker counts as busy until it has cleaned up behind its answer.
            let mut tries = 0;
            while line.starts_with("server-threadpool-info") && found != expect && tries < 100 {
                (found, expect) = (ours.perform(line), theirs.perform(line));
                tries += 1;
            }
            if found != expect {
                differences.push(format!("{line}\n  ours: {found}\n  libvirtd: {expect}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // libvirtd may end before its answer (R14), and virt-admin can crash when its connection ends: only the
    // answer on the wire shows that the call succeeded.
    raw::shut_down(&ours.admin).unwrap();
    theirs.run(&["daemon-shutdown".to_owned()]);
    for side in [&ours, &theirs] {
        wait_until("end of the daemon", || Ok(!side.admin.exists())).unwrap();
    }
}
