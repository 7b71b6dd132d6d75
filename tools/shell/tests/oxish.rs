//! The program from outside, on networks in memory.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

/// Runs `oxish` with `words`; stdout, stderr, exit status.
fn run(words: &[&str]) -> (String, String, Option<i32>) {
    #[expect(clippy::disallowed_methods, reason = "the program under test is waited for by hand")]
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_oxish"));
    let output = command.args(words).env_clear().env("TZ", "UTC").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[track_caller]
fn check(commands: &str, stdout: &str, stderr: &str, status: i32) {
    let found = run(&["-c", "test:///default", commands]);
    assert_eq!(found, (stdout.to_owned(), stderr.to_owned(), Some(status)));
}

#[test]
fn listings() {
    let table = " Name      State    Autostart   Persistent\n\
        --------------------------------------------\n default   active   no          yes\n\n";
    check("net-list", table, "", 0);
    check("net-list --name; net-list --inactive --uuid", "default\n\n\n", "", 0);
    let several = "error: Only one argument from --table, --name and --uuid may be specified.\n";
    check("net-list --name --uuid", "\n", several, 1);
}

#[test]
fn life_of_a_network() {
    check(
        "net-destroy default; net-start default; net-autostart default",
        "Network default destroyed\n\nNetwork default started\n\nNetwork default marked as autostarted\n\n",
        "",
        0,
    );
    check(
        "net-undefine default; net-destroy default; net-undefine default; net-list --all --name",
        "\nNetwork default destroyed\n\nNetwork default has been undefined\n\n\n",
        "error: Failed to undefine network default\n\
         error: Requested operation is not valid: Network 'default' is still running\n",
        0,
    );
}

#[test]
fn only_the_last_command_counts() {
    let missing = "error: failed to get network 'ghost'\n\
        error: Network not found: no network with matching name 'ghost'\n";
    check("net-start ghost; uri", "\ntest:///default\n\n", missing, 0);
    check("uri; net-start ghost", "test:///default\n\n\n", missing, 1);
    check("quit; net-start ghost", "", "", 0);
}

#[test]
fn mistakes_are_told_before_anything_is_done() {
    let (stdout, stderr, status) = run(&["-c", "nowhere:///", "net-start default --frob"]);
    assert_eq!((stdout.as_str(), status), ("", Some(1)));
    assert_eq!(stderr, "error: command 'net-start' doesn't support option --frob\n");
    let (_, stderr, status) = run(&["-c", "nowhere:///", "uri"]);
    assert_eq!(status, Some(1));
    let expect = "error: failed to connect to the hypervisor\n\
        error: no connection driver available for nowhere:///\n";
    assert_eq!(stderr, expect);
}

#[test]
fn quiet_leaves_results() {
    let (stdout, ..) =
        run(&["-q", "-c", "test:///default", "net-list; net-destroy default; net-uuid default"]);
    assert_eq!(stdout, " default   active   no   yes\ndd8fe884-6c02-601e-7551-cca97df1c5df\n");
}

#[test]
fn partial_changes() {
    check(
        "net-update default add dns-host \"<host ip='1.2.3.4'><hostname>a</hostname></host>\"",
        "Updated network default live state\n",
        "",
        0,
    );
    check(
        "net-update default modify bridge \"<bridge name='b'/>\"",
        "\n",
        "error: Failed to update network default\n\
         error: Operation not supported: can't update 'bridge' section of network 'default'\n",
        1,
    );
}
