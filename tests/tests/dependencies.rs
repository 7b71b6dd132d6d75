//! Which crates stay free of what: the promise of a library that pulls in no runtime.

use oxivirt_tests::process::Run;
use oxivirt_tests::require::workspace;

/// Everything that `package` depends on when it is built alone with its default features.
fn dependencies(package: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = workspace().join("Cargo.toml");
    let tree = ["tree", "--offline", "--locked", "--prefix", "none", "-e", "normal,build"];
    let listed = Run::new([cargo])
        .args(tree)
        .args(["-p", package, "--manifest-path"])
        .args([manifest])
        .env("PATH", std::env::var("PATH").unwrap())
        .stdout()
        .unwrap();
    listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[track_caller]
fn check_free(package: &str, banned: &[&str]) {
    let found = dependencies(package);
    assert!(found.iter().any(|name| name == package), "no tree of {package}: {found:?}");
    let bad: Vec<&String> = found
        .iter()
        .filter(|name| {
            banned.iter().any(|ban| match ban.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == ban,
            })
        })
        .collect();
    assert!(bad.is_empty(), "{package} depends on {bad:?}");
}

const RUNTIME_AND_NETLINK: &[&str] = &["tokio", "rtnetlink", "netlink-*"];

#[test]
fn the_formats_need_no_runtime() {
    check_free("oxivirt-conf", RUNTIME_AND_NETLINK);
}

#[test]
fn the_lease_helper_needs_no_runtime() {
    check_free("oxivirt-leaseshelper", RUNTIME_AND_NETLINK);
}

#[test]
fn the_address_service_needs_no_runtime() {
    check_free("oxivirt-netservd", &["tokio", "rtnetlink"]);
}

#[test]
fn leaf_crates_are_pure_by_default() {
    for package in
        ["oxivirt-types", "oxivirt-xml", "oxivirt-xpath", "oxivirt-sys", "oxivirt-nft", "oxivirt"]
    {
        check_free(package, RUNTIME_AND_NETLINK);
    }
}

#[test]
fn the_driver_does_need_them() {
    // Otherwise the tests above could not fail.
    let found = dependencies("oxivirt-network");
    for name in ["tokio", "rtnetlink"] {
        assert!(found.iter().any(|found| found == name), "{name} is not in {found:?}");
    }
}

#[test]
fn the_lock_file_stays_small() {
    let lock = std::fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let packages = lock.matches("[[package]]").count();
    // 15 of them are those of hyper and prometheus, which replace an HTTP server and a formatter of our own,
    // and 12 are the address and name service with its checksum, its encoding and the names of DNS.
    assert!(packages < 301, "{packages} packages");
}

/// Without libtest's harness the compiler drops functions with its attribute.
#[test]
fn no_scenario_has_the_attribute_of_libtest() {
    let tests = workspace().join("tests/tests");
    let manifest = std::fs::read_to_string(workspace().join("tests/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    for target in manifest["test"].as_array().unwrap() {
        assert_eq!(target["harness"].as_bool(), Some(false), "{target}");
        let name = target["name"].as_str().unwrap();
        let directory = tests.join(name);
        let files: Vec<_> = match std::fs::read_dir(&directory) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => vec![tests.join(format!("{name}.rs"))],
        };
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let is_libtest = text.lines().any(|line| line == "#[test]" || line.contains("::test]"));
            assert!(!is_libtest, "#[test] in {}", file.display());
        }
    }
}
