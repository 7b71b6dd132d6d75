//! What each step runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Check;
use crate::docs;
use crate::metadata::Package;
use crate::privilege;
use crate::process::{self, Call};
use crate::tasks;
use crate::ui::Failure;

/// The member whose integration tests need namespaces.
const TESTS: &str = "oxivirt-tests";
/// The model in its short form, the same histories every time.
const MODEL: [&str; 6] = ["--steps", "3000", "--kernel", "100", "--seed", "1"];
/// The namespace tests of `--quick`, one per subject.
const REPRESENTATIVES: [&str; 4] = ["lifecycle::", "addresses::", "owner::", "resolver::"];

impl Check {
    pub(super) fn format(&mut self) {
        self.command("format", &Call::cargo(&["fmt", "--all", "--check"]));
    }

    pub(super) fn docs(&mut self) {
        match docs::check(&process::workspace()) {
            Ok(found) => {
                for fault in &found.faults {
                    self.report.fail(&Failure::new(fault.to_string()));
                }
                self.report.pass(found.checked);
            }
            Err(failure) => self.report.fail(&failure),
        }
    }

    /// `--workspace`, or `-p` for each package of the command line.
    fn selection(&self) -> Vec<String> {
        if self.setup.options.packages.is_empty() {
            return vec!["--workspace".to_owned()];
        }
        let packages = self.setup.options.packages.iter();
        packages.flat_map(|name| ["-p".to_owned(), name.clone()]).collect()
    }

    pub(super) fn clippy(&mut self) {
        let call = sources(&["clippy", "--quiet", "--all-targets", "--locked"])
            .arguments(self.selection())
            .arguments(["--", "-D", "warnings"]);
        self.command("clippy", &call);
    }

    pub(super) fn rustdoc(&mut self) {
        let call = sources(&["doc", "--quiet", "--no-deps", "--locked"])
            .argument("--document-private-items")
            .arguments(self.selection())
            .environment("RUSTDOCFLAGS", "-D warnings");
        self.command("rustdoc", &call);
    }

    /// Each member alone, which a build of the whole workspace never tries.
    pub(super) fn features(&mut self) {
        let is_selected = |member: &&Package| {
            self.setup.options.packages.is_empty()
                || self.setup.options.packages.contains(&member.name)
        };
        let calls: Vec<(String, Call)> =
            self.setup.metadata.members.iter().filter(is_selected).flat_map(combinations).collect();
        for (label, call) in calls {
            self.command(&label, &call);
        }
    }

    /// Everything that later steps run, in one call: cargo adds the features that tests want to those of
    /// all packages of a call, so programs that are built by a call of their own are compiled twice.
    ///
    /// It is built outside the user namespace, so that nothing is downloaded in there.
    pub(super) fn build(&mut self) {
        let call = Call::cargo(&["build", "--quiet", "--workspace", "--locked"]);
        let call = call.arguments(["--bins", "--tests", "--examples"]);
        let setup = Arc::clone(&self.setup);
        setup.built.call_once(|| self.report.command("build", &call));
    }

    pub(super) fn tests(&mut self) {
        let selection = self.selection();
        self.cargo_test("tests", &selection, &[]);
    }

    /// Everything but the integration tests of [`TESTS`], whose packages stay part of the call: see
    /// [`Check::build`].
    pub(super) fn unit(&mut self) {
        let others = self.setup.metadata.members.iter().filter(|member| member.name != TESTS);
        let names: BTreeSet<&String> = others.flat_map(|member| &member.tests).collect();
        let mut selection = ["--workspace", "--lib", "--bins"].map(str::to_owned).to_vec();
        selection.extend(names.into_iter().flat_map(|name| ["--test".to_owned(), name.clone()]));
        self.cargo_test("unit", &selection, &[]);
        self.cargo_test("documentation", &["--workspace", "--doc"].map(str::to_owned), &[]);
    }

    pub(super) fn namespaces(&mut self) {
        self.cargo_test("namespaces", &integration_test("networks"), &REPRESENTATIVES);
    }

    fn cargo_test(&mut self, label: &str, selection: &[String], names: &[&str]) {
        let mut call = Call::cargo(&["test", "--no-fail-fast", "--locked"])
            .arguments(selection)
            .argument("--")
            .arguments(names);
        if let Some(prefix) = &self.setup.prefix {
            call = call.behind(prefix);
        }
        self.command(label, &call);
    }

    /// Runs the examples of the library crates; those that start a network need a namespace.
    pub(super) fn examples(&mut self) {
        let members = self.setup.metadata.members.iter();
        let examples: Vec<(String, String)> = members
            .flat_map(|member| {
                member.examples.iter().map(|name| (member.name.clone(), name.clone()))
            })
            .collect();
        self.build();
        for (package, example) in examples {
            let label = format!("{package}: {example}");
            let path = process::program_directory("debug/examples").join(&example);
            let Some(prefix) = &self.setup.prefix else {
                self.skip(&label, "netns", "no namespace can be made");
                continue;
            };
            let call = Call::new(["unshare", "--net"]).argument(path).behind(prefix);
            self.command(&label, &call);
        }
    }

    pub(super) fn demonstration(&mut self) {
        self.campaign("try", &[]);
    }

    pub(super) fn packets(&mut self) {
        self.campaign("packets", &[]);
    }

    /// A part of the kill points; all of them are `cargo xtask crash`.
    pub(super) fn crash(&mut self) {
        self.campaign("crash", &["--step", "3"]);
        self.campaign("crash-guests", &["--step", "30", "--kills", "5"]);
    }

    pub(super) fn model(&mut self) {
        self.campaign("model", &MODEL);
    }

    pub(super) fn soak(&mut self) {
        self.campaign("soak", &["--networks", "30"]);
    }

    /// The scenarios once more under a real libvirt, which judges the scenarios.
    pub(super) fn peer(&mut self) {
        if !process::workspace().join("../shared/tools/peer").is_file() {
            return self.skip("peer", "peer", "../shared/tools/peer does not exist");
        }
        if process::find("libvirtd").is_none() {
            return self.skip("peer", "peer", "libvirt is not installed");
        }
        if !privilege::is_root() {
            return self.skip("peer", "peer", "libvirtd runs as root only");
        }
        let call = Call::cargo(&["test", "--locked"])
            .arguments(integration_test("networks"))
            .environment("OXIVIRT_SUBJECT", "libvirt");
        self.command("peer", &call);
    }

    /// Runs a subcommand of the campaign program.
    fn campaign(&mut self, name: &str, arguments: &[&str]) {
        if self.setup.prefix.is_none() {
            return self.skip(name, "netns", "no namespace can be made");
        }
        let path = self.program(tasks::CAMPAIGN);
        let call = Call::new([path])
            .argument(name)
            .arguments(arguments)
            .behind(self.setup.prefix.as_deref().unwrap_or_default());
        self.command(name, &call);
    }

    /// The path of a program of the workspace, which is built first if this run has not done so.
    pub(super) fn program(&mut self, name: &str) -> std::path::PathBuf {
        self.build();
        process::program_directory("debug").join(name)
    }

    pub(super) fn conformance(&mut self) {
        let shared = process::workspace().join("../shared/data");
        if shared.is_dir() {
            let path = self.program(tasks::CAMPAIGN);
            self.command(
                "conformance",
                &Call::new([path]).argument("conformance").argument(shared),
            );
        } else {
            self.skip("conformance", "shared", "../shared/data does not exist");
        }
    }

    pub(super) fn fuzz(&mut self) {
        self.cargo_test("fuzz", &integration_test("fuzz"), &[]);
    }
}

/// One integration test of [`TESTS`], built with the features of the whole workspace, as [`Check::build`] does.
fn integration_test(name: &str) -> [String; 3] {
    ["--workspace", "--test", name].map(str::to_owned)
}

/// `cargo` in the target directory of [`Lane::Sources`](super::Lane::Sources), behind everything else
/// that wants a processor.
fn sources(arguments: &[&str]) -> Call {
    Call::cargo(arguments)
        .environment("CARGO_TARGET_DIR", process::program_directory("sources"))
        .behind(&["nice", "-n", "10"].map(str::to_owned))
}

/// Default features, none, each one and all of a crate; only the first for one without features.
fn combinations(member: &Package) -> Vec<(String, Call)> {
    let own: Vec<&String> = member.features.iter().filter(|name| *name != "default").collect();
    let mut sets: Vec<(String, Vec<&str>)> = vec![(format!("{} alone", member.name), Vec::new())];
    if !own.is_empty() {
        sets.push((format!("{} without features", member.name), vec!["--no-default-features"]));
        sets.push((format!("{} with all features", member.name), vec!["--all-features"]));
    }
    if own.len() > 1 {
        for feature in own {
            let arguments = vec!["--no-default-features", "--features", feature.as_str()];
            sets.push((format!("{} with {feature}", member.name), arguments));
        }
    }
    let check = ["check", "--quiet", "--locked", "-p", member.name.as_str()];
    sets.into_iter()
        .map(|(label, arguments)| (label, sources(&check).arguments(arguments)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(features: &[&str]) -> Vec<String> {
        let member = Package {
            name: "x".to_owned(),
            version: String::new(),
            rust: None,
            features: features.iter().copied().map(str::to_owned).collect(),
            examples: Vec::new(),
            tests: Vec::new(),
            directory: String::new(),
        };
        combinations(&member).into_iter().map(|(label, _)| label).collect()
    }

    #[test]
    fn features_are_tried_alone_and_together() {
        assert_eq!(labels(&[]), ["x alone"]);
        assert_eq!(labels(&["default"]), ["x alone"]);
        assert_eq!(
            labels(&["default", "a", "b"]),
            ["x alone", "x without features", "x with all features", "x with a", "x with b"]
        );
    }
}
