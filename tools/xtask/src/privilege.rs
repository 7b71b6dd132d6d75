//! How tasks get the rights to make namespaces: root, or a user namespace.
//!
//! A user namespace needs more than the caller's own id mapped to root: dnsmasq changes to
//! `nobody`, so a range of subordinate ids has to be mapped too, which only the setuid helpers
//! `newuidmap` and `newgidmap` may do (user_namespaces(7), subuid(5)).

use crate::own_root;
use crate::process::{self, Call};
use crate::ui::{self, Failure};

/// Whether this process has user id 0 (here, or in the user namespace it was put into).
pub(crate) fn is_root() -> bool {
    effective_uid("/proc/self/status") == Some(0)
}

fn effective_uid(status: &str) -> Option<u32> {
    let status = std::fs::read_to_string(status).ok()?;
    parse_effective_uid(&status)
}

/// The second number of `Uid:` (proc_pid_status(5)).
fn parse_effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The words to put before a command so that it can make namespaces; none when that needs nothing.
///
/// # Errors
/// What is missing on this machine, with the way to get it.
pub(crate) fn prefix() -> Result<Vec<String>, Failure> {
    let inner = ["--net", "--mount", "--pid", "--fork", "--mount-proc"];
    if is_root() {
        let prefix = own_root::prefix();
        let tried =
            Call::new(["unshare"]).arguments(inner).argument("true").behind(&prefix).capture();
        return tried.map(|_| prefix).map_err(|failure| {
            Failure::new(format!(
                "root may not make namespaces here (a container without privileges?)\n{failure}"
            ))
        });
    }
    let prefix: Vec<String> =
        ["unshare", "--user", "--map-root-user", "--map-auto", "--"].map(str::to_owned).to_vec();
    let tried = Call::new(["unshare"]).arguments(inner).argument("true").behind(&prefix).capture();
    match tried {
        Ok(_) => {
            ui::line("not root: namespaces are made inside a user namespace");
            Ok(prefix)
        }
        Err(failure) => Err(Failure::new(format!("{}\n{failure}", advice()))),
    }
}

/// What the kernel or the system's configuration does not allow, as far as it is known.
fn advice() -> String {
    let switch = |path: &str, wanted: &str| {
        std::fs::read_to_string(path).is_ok_and(|value| value.trim() != wanted)
    };
    let mut lines =
        vec!["not root, and a user namespace with subordinate ids cannot be made:".to_owned()];
    if process::find("newuidmap").is_none() {
        lines.push("  newuidmap is missing; run: sudo apt-get install uidmap".to_owned());
    }
    let user = std::env::var("USER").unwrap_or_else(|_| "YOU".to_owned());
    let has_range = |file: &str| {
        std::fs::read_to_string(file)
            .is_ok_and(|text| text.lines().any(|line| line.split(':').next() == Some(&user)))
    };
    if !has_range("/etc/subuid") || !has_range("/etc/subgid") {
        lines.push(format!(
            "  no range of subordinate ids; run: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
        ));
    }
    if switch("/proc/sys/kernel/unprivileged_userns_clone", "1") {
        lines
            .push("  switched off; run: sudo sysctl kernel.unprivileged_userns_clone=1".to_owned());
    }
    if switch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0") {
        lines.push(
            "  restricted by AppArmor; run: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0".to_owned(),
        );
    }
    lines.push("  or run the same command as root".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: &str, expect: Option<u32>) {
        assert_eq!(parse_effective_uid(status), expect);
    }

    #[test]
    fn the_effective_id_is_the_second() {
        check("Name:\tx\nUid:\t1000\t0\t1000\t1000\n", Some(0));
        check("Uid:\t0\t1000\t0\t0\n", Some(1000));
        check("Uid:\t0\n", None);
        check("", None);
    }
}
