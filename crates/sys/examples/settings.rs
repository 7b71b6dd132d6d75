//! Changes a setting of a configuration file while holding a pid file, and keeps the comments.
//!
//! `cargo run -p oxivirt-sys --example settings`
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;
use std::path::Path;

use oxivirt_sys::file::{self, Durability};
use oxivirt_sys::keyfile::{self, KeyFile, Value};
use oxivirt_sys::pidfile::PidFile;

fn set(path: &Path, name: &str, value: Value) -> Result<(), Box<dyn Error>> {
    let bytes = file::read(path, u64::try_from(keyfile::MAX_SIZE)?)?.unwrap_or_default();
    let mut settings = KeyFile::parse(&path.display().to_string(), std::str::from_utf8(&bytes)?)?;
    settings.set(name, value);
    let text = settings.format().ok_or("the value cannot be written in this grammar")?;
    // A reader sees the old content or the new one, also after a power failure.
    Ok(file::replace(path, text.as_bytes(), 0o644, Durability::Synced)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("network.conf");
    file::replace(&path, b"heal = \"repair\" # all of it\n", 0o644, Durability::Synced)?;

    let lock = PidFile::acquire(&directory.path().join("example.pid"))?;
    set(&path, "heal", Value::String("observe".to_owned()))?;
    set(&path, "firewall_table_owner", Value::Integer(1))?;
    print!("{}", std::fs::read_to_string(&path)?);

    // A second holder is refused, in this process too.
    match PidFile::acquire(&directory.path().join("example.pid")) {
        Ok(_) => return Err("the lock does not exclude".into()),
        Err(error) => println!("{}", oxivirt_sys::chain::text(&error)),
    }
    drop(lock);
    Ok(())
}
