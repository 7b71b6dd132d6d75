//! Headers that `qemu-img` writes.

use std::fs::File;
use std::path::Path;

use oxivirt_image::{Backing, Format, Image, inspect, probe};
use oxivirt_tests::process::Run;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{apply, scenario};

const SIZE: &str = "67108864";

/// An empty directory for images.
fn directory() -> tempfile::TempDir {
    need(&[Need::Program("qemu-img")]);
    tempfile::tempdir().unwrap()
}

/// Makes an image; a file name among the arguments is one in `directory`.
fn create(directory: &Path, arguments: &[&str]) {
    let run = Run::new(["qemu-img", "create", "-q"]).args(arguments);
    run.behind(["env".as_ref(), "--chdir".as_ref(), directory.as_os_str()]).stdout().unwrap();
}

fn read(path: &Path, format: Format) -> Image {
    let file = File::open(path).unwrap();
    assert_eq!(probe(&file).unwrap(), format);
    inspect(&file, format).unwrap()
}

#[apply(scenario)]
fn formats_and_sizes_are_found() {
    let directory = directory();
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
        create(directory.path(), &["-f", name, name, SIZE]);
        let image = read(&directory.path().join(name), format);
        assert_eq!(image.virtual_size, Some(64 << 20), "{name}");
    }
    for (format, options) in [("vpc", "force_size=on"), ("vhdx", "block_size=0")] {
        create(directory.path(), &["-f", format, "-o", options, format, SIZE]);
    }
    let image = read(&directory.path().join("vpc"), Format::Vpc);
    assert_eq!(image.virtual_size, Some(64 << 20));
    read(&directory.path().join("vhdx"), Format::Vhdx);
}

#[apply(scenario)]
fn overlays_and_features_of_qcow2_are_read() {
    let directory = directory();
    create(directory.path(), &["-f", "raw", "base", SIZE]);
    let overlay = ["-f", "qcow2", "-b", "base", "-F", "raw", "-o"];
    let options = "extended_l2=on,cluster_size=131072,lazy_refcounts=on";
    create(directory.path(), &[&overlay[..], &[options, "overlay"]].concat());
    let image = read(&directory.path().join("overlay"), Format::Qcow2);
    let format = Some(String::from("raw"));
    assert_eq!(image.backing, Some(Backing { text: String::from("base"), format }));
    assert!(image.extended_l2 && image.lazy_refcounts);
    assert_eq!((image.version, image.cluster_size), (Some(3), Some(131_072)));

    create(directory.path(), &["-f", "qcow2", "-o", "data_file=data", "q", SIZE]);
    let image = read(&directory.path().join("q"), Format::Qcow2);
    assert_eq!(image.data_file.as_deref(), Some("data"));
    create(directory.path(), &["-f", "qcow2", "-o", "compat=0.10", "old", SIZE]);
    assert_eq!(read(&directory.path().join("old"), Format::Qcow2).version, Some(2));
}
