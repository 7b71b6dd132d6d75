//! A program whose kill points are known, for the test of the tracer.
//!
//! `oxivirt-inject-toy DIRECTORY` makes the files `main-0` to `main-2`, then in a thread `thread-0`
//! to `thread-2`, each with one write, and then starts a program that outlives it and makes `child`.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use oxivirt_tests::process::Run;

fn main() -> std::io::Result<()> {
    let directory = PathBuf::from(std::env::args_os().nth(1).unwrap_or_default());
    let make = move |prefix: &str| -> std::io::Result<()> {
        for number in 0..3 {
            File::create(directory.join(format!("{prefix}-{number}")))?.write_all(b"x")?;
        }
        Ok(())
    };
    make("main")?;
    let in_thread = make.clone();
    std::thread::spawn(move || in_thread("thread")).join().unwrap_or(Ok(()))?;
    let child = PathBuf::from(std::env::args_os().nth(1).unwrap_or_default()).join("child");
    Run::new(["sh", "-c", "echo > \"$0\""])
        .args([child])
        .stdout()
        .map_err(std::io::Error::other)?;
    Ok(())
}
