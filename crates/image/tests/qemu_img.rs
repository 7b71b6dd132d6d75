//! Headers that `qemu-img` writes.

#![expect(clippy::unwrap_used, reason = "functions that tests share")]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use oxivirt_image::{Backing, Format, Image, inspect, probe};

const SIZE: &str = "67108864";

/// Makes an image; `None` if `qemu-img` is not installed, and then the test is reported by name.
fn create(test: &str, directory: &Path, arguments: &[&str]) -> Option<()> {
    #[expect(clippy::disallowed_methods, reason = "a test waits for it without a runtime")]
    let mut command = std::process::Command::new("qemu-img");
    let command = command.current_dir(directory).args(["create", "-q"]).args(arguments);
    match command.stdin(Stdio::null()).status() {
        Ok(status) => {
            assert!(status.success(), "{arguments:?}");
            Some(())
        }
        Err(_) => {
            let line = format!("{test}: qemu-img is not installed\n");
            drop(write!(std::io::stderr(), "did not run: {line}"));
            if let Some(path) = std::env::var_os("OXIVIRT_SKIPPED") {
                let file = File::options().append(true).create(true).open(path);
                file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
            }
            None
        }
    }
}

fn read(path: &Path, format: Format) -> Image {
    let file = File::open(path).unwrap();
    assert_eq!(probe(&file).unwrap(), format);
    inspect(&file, format).unwrap()
}

#[test]
fn formats_and_sizes_are_found() {
    let directory = tempfile::tempdir().unwrap();
    for format in [
        Format::Raw,
        Format::Qcow,
        Format::Qcow2,
        Format::Qed,
        Format::Vmdk,
        Format::Vdi,
        Format::Parallels,
    ] {
        let name = format.as_str();
        let test = "qemu_img::formats_and_sizes_are_found";
        if create(test, directory.path(), &["-f", name, name, SIZE]).is_none() {
            return;
        }
        let image = read(&directory.path().join(name), format);
        assert_eq!(image.virtual_size, Some(64 << 20), "{name}");
    }
    for (format, options) in [("vpc", "force_size=on"), ("vhdx", "block_size=0")] {
        create("", directory.path(), &["-f", format, "-o", options, format, SIZE]).unwrap();
    }
    let image = read(&directory.path().join("vpc"), Format::Vpc);
    assert_eq!(image.virtual_size, Some(64 << 20));
    read(&directory.path().join("vhdx"), Format::Vhdx);
}

#[test]
fn overlays_and_features_of_qcow2_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let test = "qemu_img::overlays_and_features_of_qcow2_are_read";
    if create(test, directory.path(), &["-f", "raw", "base", SIZE]).is_none() {
        return;
    }
    let overlay = ["-f", "qcow2", "-b", "base", "-F", "raw", "-o"];
    let options = "extended_l2=on,cluster_size=131072,lazy_refcounts=on";
    create(test, directory.path(), &[&overlay[..], &[options, "overlay"]].concat()).unwrap();
    let image = read(&directory.path().join("overlay"), Format::Qcow2);
    let format = Some(String::from("raw"));
    assert_eq!(image.backing, Some(Backing { text: String::from("base"), format }));
    assert!(image.extended_l2 && image.lazy_refcounts);
    assert_eq!((image.version, image.cluster_size), (Some(3), Some(131_072)));

    create(test, directory.path(), &["-f", "qcow2", "-o", "data_file=data", "q", SIZE]).unwrap();
    let image = read(&directory.path().join("q"), Format::Qcow2);
    assert_eq!(image.data_file.as_deref(), Some("data"));
    create(test, directory.path(), &["-f", "qcow2", "-o", "compat=0.10", "old", SIZE]).unwrap();
    assert_eq!(read(&directory.path().join("old"), Format::Qcow2).version, Some(2));
}
