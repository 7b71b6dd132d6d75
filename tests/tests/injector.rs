//! The tracer that kills, on a program whose kill points are known.

use std::path::Path;

use oxivirt_tests::inject::calls::Moment;
use oxivirt_tests::inject::{Traced, strace};
use oxivirt_tests::process::Run;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{TempRoot, apply, scenario};

const CAMPAIGN: &str = env!("CARGO_BIN_EXE_oxivirt-campaign");
const TOY: [&str; 2] = [CAMPAIGN, "toy"];

fn inject(directory: &Path, kill_at: usize) -> Traced {
    let report = TempRoot::new().unwrap();
    let path = report.join("report");
    Run::new([CAMPAIGN, "inject"])
        .args([&path])
        .args([kill_at.to_string()])
        .args(TOY)
        .args([directory])
        .stdout()
        .unwrap();
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn files(directory: &Path) -> Vec<(String, usize)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap().len())
        })
        .collect();
    files.sort();
    files
}

/// Two kill points a file: its creation and its write.
const FILES: [&str; 6] = ["main-0", "main-1", "main-2", "thread-0", "thread-1", "thread-2"];

#[apply(scenario)]
fn the_kill_points_of_main_and_thread_are_listed() {
    let root = TempRoot::new().unwrap();
    let traced = inject(root.path(), 0);
    assert!(!traced.killed && traced.exit().success(), "{traced:?}");
    let names: Vec<&str> = traced.calls.iter().map(|call| call.name.as_str()).collect();
    let mut expect = ["openat", "write"].repeat(FILES.len());
    // Starting the child, before and after.
    let spawn = names.last().copied().unwrap();
    assert!(["clone", "clone3", "vfork"].contains(&spawn), "{spawn}");
    expect.extend([spawn, spawn]);
    assert_eq!(names, expect);
    assert_eq!(traced.calls.last().unwrap().moment, Moment::After);
    assert!(traced.calls[0].object.ends_with("/main-0"), "{}", traced.calls[0]);
    assert!(traced.calls[1].object.ends_with("/main-0"), "{}", traced.calls[1]);
}

#[apply(scenario)]
fn a_kill_comes_before_its_call_and_after_the_one_before() {
    for kill_at in 1..=2 * FILES.len() {
        let root = TempRoot::new().unwrap();
        let traced = inject(root.path(), kill_at);
        assert!(traced.killed && traced.calls.len() == kill_at, "{kill_at}: {traced:?}");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&traced.exit()), Some(9));
        // The files whose creation was allowed; the last one is empty if its write was not.
        let expect: Vec<(String, usize)> = FILES
            .iter()
            .take(kill_at / 2)
            .enumerate()
            .map(|(at, name)| ((*name).to_owned(), usize::from(2 * at + 2 < kill_at)))
            .collect();
        assert_eq!(files(root.path()), expect, "kill point {kill_at}");
    }
}

#[apply(scenario)]
fn a_child_outlives_the_kill() {
    let root = TempRoot::new().unwrap();
    let traced = inject(root.path(), 2 * FILES.len() + 2);
    assert!(traced.killed, "{traced:?}");
    let child = root.join("child");
    let seen = || Ok(child.exists());
    oxivirt_tests::process::wait_until("the child writes", seen).unwrap();
}

#[apply(scenario)]
fn a_number_beyond_the_end_kills_nothing() {
    let root = TempRoot::new().unwrap();
    let traced = inject(root.path(), 1000);
    assert!(!traced.killed && traced.exit().success(), "{traced:?}");
}

#[apply(scenario)]
fn strace_lists_the_same() {
    need(&[Need::Strace]);
    let root = TempRoot::new().unwrap();
    let output = TempRoot::new().unwrap();
    let path = output.join("strace").to_string_lossy().into_owned();
    Run::new(["strace"])
        .args(strace::arguments(&path))
        .args(TOY)
        .args([root.path()])
        .stdout()
        .unwrap();
    let seen = strace::count(&std::fs::read_to_string(&path).unwrap());
    let traced = inject(root.path(), 0);
    assert_eq!(seen, strace::count_traced(&traced.calls));
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
