//! Volumes: creation, copies, sizes, removal, and what a crash leaves.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::time::Duration;

use oxivirt_types::storage::{
    StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolInfoFlags, StorageVolResizeFlags,
    StorageVolType, WipeAlgorithm,
};

use crate::{Root, check_error, make, mode, qcow2, volume_xml, write};

const CREATE: StorageVolCreateFlags = StorageVolCreateFlags::empty();
const DELETE: StorageVolDeleteFlags = StorageVolDeleteFlags::empty();
const INFO: StorageVolInfoFlags = StorageVolInfoFlags::empty();
const QCOW2: &str = "<target><format type='qcow2'/></target>";

#[tokio::test]
async fn raw_volumes_are_allocated_or_sparse() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    let xml =
        volume_xml("full", 8192, "<target><permissions><mode>0640</mode></permissions></target>");
    let full = pool.vol_create_xml(&xml, CREATE).await.unwrap();
    let sparse = make(&pool, "sparse", 1 << 20).await;
    let info = full.info(INFO).await.unwrap();
    assert_eq!((info.kind, info.capacity), (StorageVolType::File, 8192));
    assert!(info.allocation >= 8192);
    let info = sparse.info(INFO).await.unwrap();
    assert_eq!((info.capacity, info.allocation), (1 << 20, 0));
    let info = sparse.info(StorageVolInfoFlags::GET_PHYSICAL).await.unwrap();
    assert_eq!(info.allocation, 1 << 20);
    assert_eq!(mode(root.pool().join("full")), 0o640);
    assert_eq!(mode(root.pool().join("sparse")), 0o600);
    assert_eq!(root.files(), ["full", "sparse"]);
    assert_eq!(root.n_journal(), 0);
    let xml = sparse.xml_desc().await.unwrap();
    let path = root.pool().join("sparse");
    let path = path.display();
    assert!(
        xml.contains(&format!("<key>{path}</key>\n  <capacity unit='bytes'>1048576<")),
        "{xml}"
    );
    assert!(xml.contains("<physical unit='bytes'>1048576</physical>\n"), "{xml}");
    assert!(xml.contains(&format!("<path>{path}</path>\n    <format type='raw'/>")), "{xml}");
    assert!(xml.contains("<mode>0600</mode>"), "{xml}");
    assert!(xml.contains("<btime>0</btime>"), "{xml}");
}

#[tokio::test]
async fn volumes_are_found_by_name_key_and_any_path() {
    let root = Root::new();
    let (connect, pool) = root.started().await;
    let vol = make(&pool, "a", 10).await;
    let path = root.pool().join("a");
    let path = path.to_str().unwrap();
    assert_eq!((vol.key(), vol.path().await.unwrap().as_str()), (path, path));
    symlink(root.pool(), root.path().join("link")).unwrap();
    let link = root.path().join("link/a");
    for path in [path, &path.replace("/a", "//a"), link.to_str().unwrap()] {
        assert_eq!(connect.storage_vol_lookup_by_path(path).await.unwrap().name(), "a");
    }
    assert_eq!(connect.storage_vol_lookup_by_key(path).await.unwrap().name(), "a");
    assert_eq!(vol.pool().await.unwrap().name(), "images");
    let dir = root.pool();
    let found = connect.storage_pool_lookup_by_target_path(dir.to_str().unwrap()).await;
    assert_eq!(found.unwrap().name(), "images");
    let missing = "Storage volume not found: no storage vol with matching";
    let found = pool.vol_lookup_by_name("q").await;
    check_error(found, 50, &format!("{missing} name 'q'"));
    let found = connect.storage_vol_lookup_by_path("/nope").await;
    check_error(found, 50, &format!("{missing} path '/nope'"));
    let found = connect.storage_vol_lookup_by_key("/nope").await;
    check_error(found, 50, &format!("{missing} key /nope"));
}

#[tokio::test]
async fn refusals_leave_the_pool_as_it_is() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    make(&pool, "a", 10).await;
    let create = |name: &str, rest: &str| {
        let (pool, xml) = (pool.clone(), volume_xml(name, 10, rest));
        async move { pool.vol_create_xml(&xml, CREATE).await }
    };
    check_error(create("a", "").await, 90, "storage volume 'a' exists already");
    // a file that the pool does not know yet
    write(root.pool().join("new"), b"x");
    check_error(create("new", "").await, 90, "storage volume 'new' exists already");
    assert_eq!(fs::read(root.pool().join("new")).unwrap(), b"x");
    let text = "Requested operation is not valid: volume name '../x' cannot contain '/'";
    check_error(create("../x", "").await, 55, text);
    let text = "unsupported configuration: unknown volume format type foo";
    check_error(create("b", "<target><format type='foo'/></target>").await, 67, text);
    let text = "internal error: unable to find qemu-img";
    check_error(create("b", QCOW2).await, 1, text);
    let text = "this function is not supported by the connection driver: \
                backing storage not supported for raw volumes";
    let backing = format!("<backingStore><path>{}</path></backingStore>", root.path().display());
    check_error(create("b", &backing).await, 3, text);
    let text = "inaccessible backing store volume /none: No such file or directory";
    let backing = "<backingStore><path>/none</path></backingStore>";
    check_error(create("b", &format!("{QCOW2}{backing}")).await, 38, text);
    let xml = "<volume><name>b</name></volume>";
    let text = "XML error: missing capacity element";
    check_error(pool.vol_create_xml(xml, CREATE).await, 27, text);
    let huge = "<volume><name>huge</name><capacity unit='E'>7</capacity></volume>";
    assert_eq!(pool.vol_create_xml(huge, CREATE).await.unwrap_err().code().0, 38);
    root.qemu_img("echo 'qemu-img: no' >&2; exit 3");
    let error = create("b", QCOW2).await.unwrap_err();
    let path = root.pool().join("b");
    let expect = format!(
        "internal error: Child process ({}/bin/qemu-img create -f qcow2 -o compat=1.1 {} 1K) \
         unexpected exit status 3: qemu-img: no\n",
        root.path().display(),
        path.display(),
    );
    assert_eq!((error.code().0, error.message()), (1, expect.as_str()));
    assert_eq!(root.files(), ["a", "new"]);
    assert_eq!(pool.list_all_volumes().await.unwrap().len(), 1);
    assert_eq!(root.n_journal(), 0);
}

#[tokio::test]
async fn images_are_made_by_qemu_img_and_read_by_their_header() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    let base = make(&pool, "base", 4096).await;
    let path = base.path().await.unwrap();
    write(root.path().join("image"), qcow2(1 << 30, &path));
    root.qemu_img("cp $root/image $image");
    let rest =
        format!("{QCOW2}<backingStore><path>{path}</path><format type='raw'/></backingStore>");
    let vol = pool.vol_create_xml(&volume_xml("over", 1 << 30, &rest), CREATE).await.unwrap();
    let xml = vol.xml_desc().await.unwrap();
    assert!(xml.contains("<capacity unit='bytes'>1073741824</capacity>"), "{xml}");
    assert!(xml.contains("<format type='qcow2'/>"), "{xml}");
    let expect = "    <compat>1.1</compat>\n    <clusterSize unit='B'>65536</clusterSize>\n    \
                  <features/>\n  </target>\n  <backingStore>\n";
    assert!(xml.contains(expect), "{xml}");
    // without a format in the header the image below is raw, whatever it contains
    assert!(xml.contains(&format!("<path>{path}</path>\n    <format type='raw'/>")), "{xml}");
    let calls = fs::read_to_string(root.path().join("calls")).unwrap();
    let options = format!("create -f qcow2 -b {path} -o backing_fmt=raw,compat=1.1 /proc/");
    assert!(calls.starts_with(&options) && calls.ends_with("/over 1048576K\n"), "{calls}");
    assert_eq!(root.files(), ["base", "over"]);
}

#[tokio::test]
async fn raw_data_that_look_like_an_image_stay_raw() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    let vol = make(&pool, "disk", 4096).await;
    // what a guest could do
    write(root.pool().join("disk"), qcow2(1 << 40, "/etc/shadow"));
    let xml = vol.xml_desc().await.unwrap();
    assert!(xml.contains("<format type='raw'/>") && !xml.contains("backingStore"), "{xml}");
    assert_eq!(vol.info(INFO).await.unwrap().capacity, 1024);
}

#[tokio::test]
async fn copies_keep_holes_and_take_sizes_from_their_source() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    let source = make(&pool, "source", 8 << 20).await;
    let mut bytes = vec![0; 8 << 20];
    bytes[5 << 20] = 7;
    let file = fs::File::options().write(true).open(root.pool().join("source")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[7], 5 << 20).unwrap();
    let xml = "<volume><name>copy</name></volume>";
    let copy = pool.vol_create_xml_from(xml, &source, CREATE).await.unwrap();
    assert!(fs::read(root.pool().join("copy")).unwrap() == bytes);
    let info = copy.info(INFO).await.unwrap();
    assert_eq!(info.capacity, 8 << 20);
    assert!(info.allocation < 1 << 20, "{}", info.allocation);
    let text = "internal error: storage volume name 'copy' already in use.";
    check_error(pool.vol_create_xml_from(xml, &source, CREATE).await, 1, text);
    write(root.path().join("image"), qcow2(8 << 20, ""));
    root.qemu_img("cp $root/image $image");
    let xml = volume_xml("q", 16 << 20, QCOW2);
    pool.vol_create_xml_from(&xml, &source, CREATE).await.unwrap();
    let calls = fs::read_to_string(root.path().join("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    let source = root.pool().join("source");
    let convert = format!("convert -f raw -O qcow2 -o compat=1.1 {} /proc/", source.display());
    assert!(calls[0].starts_with(&convert), "{calls:?}");
    assert!(calls[1].starts_with("resize -f qcow2 /proc/"), "{calls:?}");
    assert!(calls[1].ends_with("/q 16384K"), "{calls:?}");
}

#[tokio::test]
async fn sizes_change_inside_the_pool_only() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    let vol = make(&pool, "a", 10 << 20).await;
    let none = StorageVolResizeFlags::empty();
    vol.resize(20 << 20, none).await.unwrap();
    assert_eq!(vol.info(INFO).await.unwrap().capacity, 20 << 20);
    let text = "invalid argument: Can't shrink capacity below current capacity unless shrink flag \
                explicitly specified";
    check_error(vol.resize(5 << 20, none).await, 8, text);
    vol.resize(5 << 20, StorageVolResizeFlags::DELTA | StorageVolResizeFlags::SHRINK)
        .await
        .unwrap();
    assert_eq!(vol.info(INFO).await.unwrap().capacity, 15 << 20);
    vol.resize(16 << 20, StorageVolResizeFlags::ALLOCATE).await.unwrap();
    assert!(vol.info(INFO).await.unwrap().allocation >= 1 << 20);
    // the file becomes a link to one outside
    let outside = root.path().join("outside");
    write(&outside, b"keep");
    fs::remove_file(root.pool().join("a")).unwrap();
    symlink(&outside, root.pool().join("a")).unwrap();
    assert!(vol.resize(20 << 20, none).await.is_err());
    assert!(vol.wipe(WipeAlgorithm::Zero).await.is_err());
    assert_eq!(fs::read(&outside).unwrap(), b"keep");
    vol.delete(DELETE).await.unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"keep");
    assert_eq!(root.files(), [""; 0]);
}

#[tokio::test]
async fn wiped_data_are_zeros() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    for (name, size) in [("full", 4096), ("sparse", 1 << 20)] {
        let vol = make(&pool, name, size).await;
        let path = root.pool().join(name);
        let file = fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[7; 4096], 0).unwrap();
        vol.wipe(WipeAlgorithm::Zero).await.unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() as u64 == size && bytes.iter().all(|byte| *byte == 0));
    }
    let vol = pool.vol_lookup_by_name("full").await.unwrap();
    let text = "invalid argument: wiping algorithm 99 not supported";
    check_error(vol.wipe(WipeAlgorithm::from_number(99)).await, 8, text);
}

#[tokio::test]
async fn a_refresh_finds_files_directories_and_links() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    let inside = |name: &str| root.pool().join(name);
    write(inside("raw"), [1; 10]);
    write(inside(".hidden"), b"");
    fs::create_dir(inside("dir")).unwrap();
    fs::create_dir(inside(".oxivirt-other")).unwrap();
    symlink(inside("raw"), inside("link")).unwrap();
    symlink("/nonexistent", inside("dangling")).unwrap();
    symlink("/dev/null", inside("device")).unwrap();
    std::os::unix::net::UnixListener::bind(inside("socket")).unwrap();
    let mut iso = vec![0; 40960];
    iso[32769..32774].copy_from_slice(b"CD001");
    write(inside("z.iso"), iso);
    let mut broken = qcow2(1, "");
    broken[79] = 0x80;
    write(inside("broken"), broken);
    pool.refresh().await.unwrap();
    let mut found = Vec::new();
    for vol in pool.list_all_volumes().await.unwrap() {
        let info = vol.info(INFO).await.unwrap();
        let xml = vol.xml_desc().await.unwrap();
        let format = xml.split("<format type='").nth(1).unwrap().split('\'').next().unwrap();
        found.push(format!("{} {} {:?} {format}", vol.name(), info.capacity, info.kind));
    }
    found.sort();
    let expect = [
        ".hidden 0 File raw",
        "broken 1024 File qcow2",
        "dir 0 Dir dir",
        "link 10 File raw",
        "raw 10 File raw",
        "z.iso 40960 File iso",
    ];
    assert_eq!(found, expect);
    let dir = pool.vol_lookup_by_name("dir").await.unwrap();
    dir.delete(DELETE).await.unwrap();
    assert!(!inside("dir").exists());
}

#[tokio::test]
async fn a_volume_is_listed_and_protected_while_it_is_made() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    write(root.path().join("image"), qcow2(1 << 20, ""));
    root.qemu_img(
        "touch $root/running; while ! test -e $root/go; do sleep 0.01; done; cp $root/image $image",
    );
    let making = tokio::spawn({
        let (pool, xml) = (pool.clone(), volume_xml("q", 1 << 20, QCOW2));
        async move { pool.vol_create_xml(&xml, CREATE).await }
    });
    wait_for(&root.path().join("running")).await;
    let vol = pool.vol_lookup_by_name("q").await.unwrap();
    let text = "Requested operation is not valid: volume 'q' is still being allocated.";
    check_error(vol.delete(DELETE).await, 55, text);
    assert_eq!(vol.info(INFO).await.unwrap().capacity, 1 << 20);
    let text = "internal error: pool 'images' has asynchronous jobs running.";
    check_error(pool.destroy().await, 1, text);
    check_error(pool.refresh().await, 1, text);
    // other volumes are made meanwhile
    make(&pool, "other", 10).await;
    write(root.path().join("go"), b"");
    making.await.unwrap().unwrap();
    vol.delete(DELETE).await.unwrap();
    assert_eq!(root.files(), ["other"]);
}

/// Waits until a file exists.
async fn wait_for(path: &std::path::Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn a_crash_leaves_no_half_volume() {
    let root = Root::new();
    root.qemu_img("echo part > $image; touch $root/running; exec sleep 600");
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // as a crash: tasks end where they are
    let crashed = runtime();
    crashed.block_on(async {
        let (_connect, pool) = root.started().await;
        let xml = volume_xml("q", 1 << 20, QCOW2);
        let making = async { drop(pool.vol_create_xml(&xml, CREATE).await) };
        let running = root.path().join("running");
        tokio::select! {
            () = making => panic!("it ended"),
            () = wait_for(&running) => {}
        }
    });
    drop(crashed);
    assert_eq!((root.n_journal(), root.files().len()), (1, 1));
    runtime().block_on(async {
        let connect = root.open().await;
        let pool = connect.storage_pool_lookup_by_name("images").await.unwrap();
        assert_eq!(pool.list_all_volumes().await.unwrap().len(), 0);
        assert_eq!((root.n_journal(), root.files().len()), (0, 0));
        make(&pool, "q", 10).await;
    });
}

#[tokio::test]
async fn an_interrupted_deletion_is_completed_for_its_file_only() {
    let root = Root::new();
    let (connect, pool) = root.started().await;
    for name in ["gone", "other"] {
        make(&pool, name, 10).await;
    }
    drop((connect, pool));
    for (number, name) in [(1, "gone"), (2, "other")] {
        let meta = fs::metadata(root.pool().join(name)).unwrap();
        // the second was replaced by another file since
        let inode = if name == "gone" { meta.ino() } else { meta.ino() + 1_000_000 };
        let uuid = format!("00000000-0000-0000-0000-00000000000{number}");
        let entry = format!(
            "{{\"version\":1,\"operation\":\"stop\",\"name\":\"images/{name}\",\"uuid\":\"{uuid}\",\
             \"undo\":[[[{{\"undo\":\"remove-volume\",\"pool\":\"{}\",\"name\":\"{name}\",\
             \"device\":{},\"inode\":{inode}}}]]]}}",
            root.pool().display(),
            meta.dev(),
        );
        write(root.layout().journal_dir().join(format!("{uuid}.json")), entry);
    }
    let _connect = root.open().await;
    assert_eq!((root.files(), root.n_journal()), (vec![String::from("other")], 0));
}

#[tokio::test]
async fn a_deletion_that_is_refused_is_not_tried_again() {
    let root = Root::new();
    let (connect, pool) = root.started().await;
    fs::create_dir(root.pool().join("dir")).unwrap();
    write(root.pool().join("dir/full"), b"");
    pool.refresh().await.unwrap();
    let vol = pool.vol_lookup_by_name("dir").await.unwrap();
    assert_eq!(vol.delete(DELETE).await.unwrap_err().code().0, 38);
    assert_eq!(root.n_journal(), 0);
    fs::remove_file(root.pool().join("dir/full")).unwrap();
    drop((vol, pool, connect));
    let _connect = root.open().await;
    assert!(root.pool().join("dir").exists());
}
