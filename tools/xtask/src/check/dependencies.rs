//! What may be in the dependency graph: `deny.toml`, and the minimum Rust version.

use std::path::PathBuf;

use super::Check;
use crate::metadata::Package;
use crate::process::{self, Call};
use crate::ui::{self, Failure};

/// Installed below `target/tools`. Built without optimisation and without the features for
/// certificates of a registry: 75 s of processor time, a quarter of the default.
const CARGO_DENY: &str = "0.20.2";

impl Check {
    /// Licences, bans, duplicates and sources by cargo-deny, and the packages' `rust-version`.
    pub(super) fn dependencies(&mut self) {
        match self.newer_rust() {
            faults if faults.is_empty() => self.report.pass(1),
            faults => self.report.fail(&Failure::new(faults.join("\n"))),
        }
        let deny = match cargo_deny() {
            Ok(deny) => deny,
            Err(failure) => return self.report.fail(&failure),
        };
        let call = Call::new([&deny]);
        let offline = ["--offline", "check", "licenses", "bans", "sources"];
        self.command("cargo deny", &call.arguments(offline));
        self.advisories(&deny);
    }

    /// Known vulnerabilities; the database is a git repository on the network.
    fn advisories(&mut self, deny: &PathBuf) {
        let call = Call::new([deny]).arguments(["check", "advisories"]);
        match call.capture() {
            Ok(_) => self.report.pass(1),
            Err(failure) if failure.to_string().contains("failed to fetch advisory database") => {
                let why = "the database of rustsec.org cannot be fetched";
                self.skip("cargo deny: advisories", "network", why);
            }
            Err(failure) => self.report.fail(&failure),
        }
    }

    /// Dependencies that ask for a newer Rust than the workspace does.
    fn newer_rust(&self) -> Vec<String> {
        let ours = self.setup.metadata.members.iter().filter_map(|member| member.rust).min();
        let packages = self.setup.metadata.dependencies.iter();
        let newer = packages.filter_map(|package| Some((package, package.rust?, ours?)));
        newer.filter(|(_, theirs, ours)| theirs > ours).map(complaint).collect()
    }

    /// Builds everything with the oldest toolchain that is promised to work.
    pub(super) fn msrv(&mut self) {
        let versions = self.setup.metadata.members.iter().filter_map(|member| member.rust);
        let Some((major, minor)) = versions.min() else {
            let what = "the workspace sets no rust-version";
            return self.report.fail(&Failure::new(what));
        };
        let installed = Call::new(["rustup", "toolchain", "list"]).capture().unwrap_or_default();
        let Some(toolchain) = toolchain(&installed, &format!("{major}.{minor}")) else {
            let why = format!(
                "toolchain {major}.{minor} is not installed; \
                 clippy's incompatible_msrv and the packages' rust-version are checked"
            );
            return self.skip("msrv", "msrv", &why);
        };
        let target = process::program_directory("msrv");
        let call = Call::new(["rustup", "run", toolchain, "cargo", "check", "--quiet"])
            .arguments(["--workspace", "--all-targets", "--locked", "--target-dir"])
            .argument(target);
        self.command("msrv", &call);
    }
}

fn complaint((package, theirs, ours): (&Package, (u32, u32), (u32, u32))) -> String {
    format!(
        "{} {} needs Rust {}.{}, the workspace promises {}.{}",
        package.name, package.version, theirs.0, theirs.1, ours.0, ours.1
    )
}

/// The installed toolchain of `version`, a patch release of it included.
fn toolchain<'a>(installed: &'a str, version: &str) -> Option<&'a str> {
    let names = installed.lines().filter_map(|line| line.split_whitespace().next());
    names.into_iter().find(|name| {
        name.strip_prefix(version)
            .is_some_and(|rest| rest.starts_with(['.', '-']) || rest.is_empty())
    })
}

/// Where cargo-deny is; installs it below `target/tools` if it is nowhere.
fn cargo_deny() -> Result<PathBuf, Failure> {
    let tools = process::program_directory("tools");
    let own = tools.join("bin/cargo-deny");
    if own.is_file() {
        return Ok(own);
    }
    ui::line(format_args!("installing cargo-deny {CARGO_DENY} below {}", tools.display()));
    Call::cargo(&["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--quiet"])
        .arguments(["--debug", "--no-default-features", "--root"])
        .argument(&tools)
        .environment("CARGO_TARGET_DIR", tools.join("build"))
        .run()?;
    // The objects are larger than everything else below target/tools, and needed once.
    std::fs::remove_dir_all(tools.join("build"))
        .map_err(|error| Failure::new(format!("'{}': {error}", tools.display())))?;
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(installed: &str, expect: Option<&str>) {
        assert_eq!(toolchain(installed, "1.88"), expect);
    }

    #[test]
    fn installed_toolchain_is_found() {
        check("stable-x86_64-unknown-linux-gnu (default)\n", None);
        check(
            "1.880-x\n1.88.0-x86_64-unknown-linux-gnu\n",
            Some("1.88.0-x86_64-unknown-linux-gnu"),
        );
        check("1.88-x86_64-unknown-linux-gnu (active)\n", Some("1.88-x86_64-unknown-linux-gnu"));
        check("", None);
    }
}
