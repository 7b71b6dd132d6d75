//! Runs the built program below a directory of its own.

#![expect(clippy::unwrap_used, reason = "a test may; the switch for tests misses helpers")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
    thread,
};

struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("var/lib/libvirt/dnsmasq")).unwrap();
        Self(dir)
    }

    fn status(&self) -> PathBuf {
        self.0.path().join("var/lib/libvirt/dnsmasq/virbr9.status")
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test, with nothing around it")]
    fn run(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_oxivirt_leaseshelper"))
            .args(args)
            .env_clear()
            .env("OXIVIRT_ROOT", self.0.path())
            .env("VIR_BRIDGE_NAME", "virbr9")
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn succeed(&self, args: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.run(args, variables);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn the_life_of_a_lease() {
    let root = Root::new();
    assert_eq!(root.succeed(&["init"], &[]), "");
    assert_eq!(fs::read(root.status()).unwrap(), b"");

    let expires = [("DNSMASQ_LEASE_EXPIRES", "2000000000")];
    root.succeed(&["add", "52:54:00:00:00:01", "10.0.0.2", "web"], &expires);
    let expect = r#"[
  {
    "ip-address": "10.0.0.2",
    "mac-address": "52:54:00:00:00:01",
    "hostname": "web",
    "expiry-time": 2000000000
  }
]
"#;
    assert_eq!(fs::read_to_string(root.status()).unwrap(), expect);
    assert_eq!(root.succeed(&["init"], &[]), "2000000000 52:54:00:00:00:01 10.0.0.2 web *\n");

    root.succeed(&["del", "52:54:00:00:00:01", "10.0.0.2"], &[]);
    assert_eq!(fs::read_to_string(root.status()).unwrap(), "[\n]\n");

    let mode = fs::metadata(root.status()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    let names: Vec<_> = fs::read_dir(root.status().parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing temporary stays");
    assert!(!root.0.path().join("run/leaseshelper.pid").exists());
}

#[test]
fn two_at_a_time_lose_nothing() {
    let root = Root::new();
    thread::scope(|scope| {
        for thread in 0..4 {
            let root = &root;
            scope.spawn(move || {
                for number in 0..8 {
                    root.succeed(&["add", "m", &format!("10.0.{thread}.{number}")], &[]);
                }
            });
        }
    });
    assert_eq!(root.succeed(&["init"], &[]).lines().count(), 32);
}

#[test]
fn failures_exit_with_one_and_say_why() {
    let root = Root::new();
    let fail = |args: &[&str], variables: &[(&str, &str)], expect: &str| {
        let output = root.run(args, variables);
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(expect), "{stderr}");
        assert_eq!(stderr.lines().count(), 1);
    };
    fail(&[], &[], "usage");
    fail(&["foo"], &[], "unsupported action: foo");
    fail(&["add", "m", "1.1.1.1"], &[("DNSMASQ_LEASE_EXPIRES", "x")], "no number");
    assert!(!root.status().exists(), "nothing is touched before the call is understood");

    fs::create_dir(root.status()).unwrap();
    fail(&["init"], &[], "Is a directory");
    fail(&["add", "m", "1.1.1.1"], &[], "Is a directory");
    fs::remove_dir(root.status()).unwrap();

    fs::File::create(root.status()).unwrap().set_len(32 * 1024 * 1024 + 1).unwrap();
    fail(&["init"], &[], "larger than");
}
