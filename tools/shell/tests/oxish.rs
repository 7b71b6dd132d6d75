//! The program from outside, on networks in memory.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::ffi::OsStr;

/// Runs `oxish` with `words`; stdout, stderr, exit status.
fn run(words: &[&str]) -> (String, String, Option<i32>) {
    run_program(OsStr::new(env!("CARGO_BIN_EXE_oxish")), words)
}

fn run_program(program: &OsStr, words: &[&str]) -> (String, String, Option<i32>) {
    #[expect(clippy::disallowed_methods, reason = "the program under test is waited for by hand")]
    let mut command = std::process::Command::new(program);
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

/// Recorded from virsh on libvirt's test driver.
#[test]
fn life_of_a_domain() {
    let table = " Id   Name   State\n----------------------\n 1    test   running\n\n";
    check("list", table, "", 0);
    let off = " Id   Name   State\n-----------------------\n -    test   shut off\n\n";
    check(
        "destroy test; list --all; domstate test --reason; start test; domid test; domstate test --reason",
        &format!(
            "Domain 'test' destroyed\n\n{off}shut off (destroyed)\n\nDomain 'test' started\n\n2\n\n\
             running (booted)\n\n"
        ),
        "",
        0,
    );
    check(
        "suspend test; domstate test --reason; resume test; reboot test; reset test; shutdown test",
        "Domain 'test' suspended\n\npaused (user)\n\nDomain 'test' resumed\n\n\
         Domain 'test' is being rebooted\n\nDomain 'test' was reset\n\nDomain 'test' is being shutdown\n\n",
        "",
        0,
    );
    check(
        "destroy test; domrename test b; list --all --name; undefine b; list --all --name",
        "Domain 'test' destroyed\n\nDomain successfully renamed\n\nb\n\n\
         Domain 'b' has been undefined\n\n\n",
        "",
        0,
    );
    check("dominfo nope", "\n", "error: failed to get domain 'nope'\n", 1);
    check("start test", "\n", "error: Domain is already active\n", 1);
}

/// Recorded from virsh on libvirt's test driver.
#[test]
fn devices_and_addresses_of_a_domain() {
    check(
        "domblklist test --details; domiflist test; domifaddr test",
        " Type   Device   Target   Source\n---------------------------------------------\n \
         file   disk     vda      /guest/diskimage1\n\n \
         Interface   Type      Source    Model   MAC\n\
         ------------------------------------------------------------\n \
         testnet0    network   default   -       aa:bb:cc:dd:ee:ff\n\n \
         Name       MAC address          Protocol     Address\n\
         -------------------------------------------------------------------------------\n \
         testnet0   aa:bb:cc:dd:ee:ff    ipv4         192.168.122.3/24\n\n",
        "",
        0,
    );
    let no_display = "error: Failed to get VNC port. Is this domain using VNC?\n";
    check("vncdisplay test", "\n", no_display, 1);
    let no_terminal = "error: Cannot run interactive console without a controlling TTY\n";
    check("console test", "\n", no_terminal, 1);
    check(
        "desc test; desc test hello; desc test; desc --title test t1; list --title",
        "No description for domain: test\nDomain description updated successfully\nhello\n\
         Domain title updated successfully\n Id   Name   State     Title\n\
         ------------------------------\n 1    test   running   t1\n\n",
        "",
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
fn mistakes_are_reported_before_any_command_runs() {
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

/// A link to the shell called `virsh`.
fn virsh(dir: &tempfile::TempDir) -> std::path::PathBuf {
    let link = dir.path().join("virsh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_oxish"), &link).unwrap();
    link
}

#[test]
fn the_version_names_both_projects() {
    let version = format!("oxish {} (libvirt 11.3.0)\n", env!("CARGO_PKG_VERSION"));
    for option in ["-v", "--version", "--version=short"] {
        assert_eq!(run(&[option]), (version.clone(), String::new(), Some(0)), "{option}");
    }
    let (long, ..) = run(&["-V"]);
    assert!(long.starts_with("oxish, the shell of Oxivirt "), "{long}");
    let dir = tempfile::tempdir().unwrap();
    let (short, _, status) = run_program(virsh(&dir).as_os_str(), &["--version"]);
    assert_eq!((short.as_str(), status), ("11.3.0\n", Some(0)));
}

#[track_caller]
fn check_hint(words: &[&str], message: &str, hint: &str) {
    let (_, stderr, status) = run(words);
    assert_eq!(status, Some(1), "{words:?}");
    assert!(stderr.ends_with(&format!("error: {message}\nhint: {hint}\n")), "{words:?}: {stderr}");
    let dir = tempfile::tempdir().unwrap();
    let (_, stderr, _) = run_program(virsh(&dir).as_os_str(), words);
    assert!(!stderr.contains("hint:"), "virsh prints no hints: {stderr}");
}

#[test]
fn mistyped_words_get_a_suggestion() {
    check_hint(&["net-lst"], "unknown command: 'net-lst'", "did you mean 'net-list'?");
    let message = "unknown command: 'dhcp-leases'";
    check_hint(&["dhcp-leases lab"], message, "did you mean 'net-dhcp-leases'?");
    let message = "command 'net-list' doesn't support option --al";
    check_hint(&["net-list --al"], message, "did you mean '--all'?");
    let message = "unsupported option '--conect=x'. See --help.";
    check_hint(&["--conect=x", "uri"], message, "did you mean '--connect'?");
}

#[test]
fn wrong_values_list_the_valid_ones() {
    let test = ["-c", "test:///default"];
    let with = |command| [test[0], test[1], command];
    check_hint(
        &with("net-update default ad dns-txt x"),
        "unrecognized command name 'ad'",
        "did you mean 'add'? Valid values: add, modify, delete, add-last, add-first",
    );
    check_hint(
        &with("net-update default add dns-hots x"),
        "unrecognized section name 'dns-hots'",
        "did you mean 'dns-host'? Valid values: bridge, domain, ip, ip-dhcp-host, ip-dhcp-range, \
         forward, forward-interface, forward-pf, portgroup, dns-host, dns-txt, dns-srv",
    );
    check_hint(
        &with("net-event --event life"),
        "unknown event type life",
        "did you mean 'lifecycle'? Valid values: lifecycle, metadata-change",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.xml");
    let xml = "<network><name>x</name><forward mode='routed'/></network>";
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), xml.as_bytes()).unwrap();
    check_hint(
        &["-c", "test:///default", "net-define", &file.display().to_string()],
        "unsupported configuration: unknown forwarding type 'routed'",
        "did you mean 'route'? Valid values: none, nat, route, open, bridge, private, vepa, passthrough, hostdev",
    );
}

#[test]
fn formats_that_do_not_exist_are_oxish_only() {
    let (_, stderr, status) = run(&["-c", "test:///default", "net-list --format jsn"]);
    let expect = "error: unknown format 'jsn'\n\
        hint: did you mean 'json'? Valid values: table, json, yaml, csv, name\n";
    assert_eq!((stderr.as_str(), status), (expect, Some(1)));
}

#[test]
fn a_missing_daemon_is_named() {
    let (_, stderr, status) = run(&["-c", "network:///system?socket=/nonexistent/s", "uri"]);
    assert_eq!(status, Some(1));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], "error: failed to connect to the hypervisor");
    let message = "error: Failed to connect socket to '/nonexistent/s': No such file or directory";
    assert_eq!(lines[1], message);
    assert!(lines[2].starts_with("hint: no daemon is listening: start oxivirtd"), "{stderr}");
    assert!(lines[2].contains("network:///embed?root=/"), "{stderr}");
}

#[test]
fn completions_escape_blanks() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("guest.xml");
    let xml = "<network><name>guest lan</name><bridge name='b'/></network>";
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), xml.as_bytes()).unwrap();
    let define = format!("net-define {}", file.display());
    for (complete, expect) in [
        ("complete -- net-info g", "guest\\ lan\n"),
        ("complete --values -- net-info 'guest\\ l'", "guest\\ lan\n"),
        // as in virsh, the escaped word has no completion
        ("complete -- net-info 'guest\\ l'", ""),
    ] {
        let commands = format!("{define}; {complete}");
        let (stdout, ..) = run(&["-q", "-c", "test:///default", &commands]);
        assert_eq!(stdout, expect, "{complete}");
    }
}

#[test]
fn the_in_memory_driver_answers_plans_and_health_reports() {
    check(
        "net-destroy default --dry-run; net-status default",
        "  1. mark network default inactive\n1 step, not done\n\n\
         Name:           default\nActive:         yes\nState:          ok\n\n",
        "",
        0,
    );
    let refused = "error: Failed to start network default\n\
        error: Requested operation is not valid: Network 'default' is already running\n";
    check("net-start default --dry-run", "\n", refused, 1);
    let (json, ..) =
        run(&["-q", "-c", "test:///default", "net-destroy default --dry-run --format json"]);
    let plan: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["steps"][0]["kind"], "state", "{plan}");
}

#[test]
fn takeover_plans_count_networks() {
    let (stdout, _, status) = run(&["net-takeover", "--plan", "--root", "/nonexistent"]);
    assert_eq!((stdout.as_str(), status), ("0 networks, nothing was changed\n\n", Some(0)));
}
