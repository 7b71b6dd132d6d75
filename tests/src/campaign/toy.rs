//! A program whose kill points are known, for the test of the tracer.
//!
//! `oxivirt-campaign toy DIRECTORY` makes the files `main-0` to `main-2`, then in a thread `thread-0`
//! to `thread-2`, each with one write, and then starts a program that outlives it and makes `child`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process::Run;

pub(super) fn run(words: &[String]) -> Result<bool> {
    let directory = PathBuf::from(words.first().map_or("", String::as_str));
    make_files(&directory).map_err(Error::file(&directory))?;
    Run::new(["sh", "-c", "echo > \"$0\""]).args([directory.join("child")]).stdout()?;
    Ok(true)
}

fn make_files(directory: &Path) -> std::io::Result<()> {
    let directory = directory.to_path_buf();
    let make = move |prefix: &str| -> std::io::Result<()> {
        for number in 0..3 {
            File::create(directory.join(format!("{prefix}-{number}")))?.write_all(b"x")?;
        }
        Ok(())
    };
    make("main")?;
    let in_thread = make.clone();
    std::thread::spawn(move || in_thread("thread")).join().unwrap_or(Ok(()))?;
    Ok(())
}
