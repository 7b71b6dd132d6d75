//! Uploads and downloads.

use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::MetadataExt as _;
use std::pin::Pin;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use oxivirt::{Error, VolumeRange, VolumeStream};
use oxivirt_types::storage::{StorageVolInfoFlags, StorageVolTransferFlags};

use crate::{Root, make, qcow2};

const FLAGS: StorageVolTransferFlags = StorageVolTransferFlags::empty();
const ALL: VolumeRange = VolumeRange { offset: 0, length: 0 };

async fn hole(stream: &mut dyn VolumeStream) -> u64 {
    poll_fn(|cx| Pin::new(&mut *stream).poll_hole(cx)).await.unwrap()
}

async fn write_hole(stream: &mut dyn VolumeStream, length: u64) -> std::io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_write_hole(cx, length)).await
}

/// The error of the API in one of a stream.
fn carried(error: &std::io::Error) -> &Error {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn what_is_uploaded_is_downloaded() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    let vol = make(&pool, "a", 1 << 20).await;
    let data: Vec<u8> = (0..1_000_003_u32).map(|n| n.to_le_bytes()[n as usize % 4]).collect();
    let mut up = vol.upload(ALL, FLAGS).await.unwrap();
    up.write_all(&data).await.unwrap();
    up.close().await.unwrap();
    let mut down = vol.download(ALL, FLAGS).await.unwrap();
    let mut found = Vec::new();
    down.read_to_end(&mut found).await.unwrap();
    assert_eq!(found.len(), 1 << 20);
    assert!(found[..data.len()] == data && found[data.len()..].iter().all(|byte| *byte == 0));
    let range = VolumeRange { offset: 100, length: 50 };
    let mut part = Vec::new();
    vol.download(range, FLAGS).await.unwrap().read_to_end(&mut part).await.unwrap();
    assert_eq!(part, data[100..150]);
    let behind = VolumeRange { offset: 2 << 20, length: 5 };
    let mut part = Vec::new();
    vol.download(behind, FLAGS).await.unwrap().read_to_end(&mut part).await.unwrap();
    assert_eq!(part, b"");
}

#[tokio::test]
async fn holes_are_transferred_as_such() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    let vol = make(&pool, "a", 4 << 20).await;
    let mut up = vol.upload(ALL, StorageVolTransferFlags::SPARSE_STREAM).await.unwrap();
    write_hole(&mut *up, 1 << 20).await.unwrap();
    up.write_all(&[7; 4096]).await.unwrap();
    write_hole(&mut *up, 8 << 20).await.unwrap();
    up.close().await.unwrap();
    let meta = fs::metadata(root.pool().join("a")).unwrap();
    assert_eq!(meta.len(), (9 << 20) + 4096);
    assert!(meta.blocks() * 512 < 1 << 20);
    assert_eq!(vol.info(StorageVolInfoFlags::empty()).await.unwrap().capacity, meta.len());
    let mut down = vol.download(ALL, StorageVolTransferFlags::SPARSE_STREAM).await.unwrap();
    assert_eq!(hole(&mut *down).await, 1 << 20);
    assert_eq!(hole(&mut *down).await, 0);
    let mut data = [0; 4096];
    down.read_exact(&mut data).await.unwrap();
    assert_eq!(data, [7; 4096]);
    assert_eq!(hole(&mut *down).await, 8 << 20);
    assert_eq!((hole(&mut *down).await, down.read(&mut data).await.unwrap()), (0, 0));
    // a hole over data
    let range = VolumeRange { offset: 1 << 20, length: 0 };
    let mut up = vol.upload(range, FLAGS).await.unwrap();
    write_hole(&mut *up, 4096).await.unwrap();
    up.close().await.unwrap();
    let bytes = fs::read(root.pool().join("a")).unwrap();
    assert!(bytes.len() as u64 == meta.len() && bytes.iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn an_upload_ends_at_its_length() {
    let root = Root::new();
    let (_connect, pool) = root.started().await;
    let vol = make(&pool, "a", 10).await;
    let range = VolumeRange { offset: 2, length: 3 };
    let mut up = vol.upload(range, FLAGS).await.unwrap();
    let error = up.write_all(b"abcdef").await.unwrap_err();
    let text = "cannot write to stream: No space left on device";
    assert_eq!((carried(&error).domain().0, carried(&error).message()), (38, text));
    up.close().await.unwrap();
    let mut up = vol.upload(range, FLAGS).await.unwrap();
    assert!(write_hole(&mut *up, 4).await.is_err());
    assert!(up.read(&mut [0; 4]).await.is_err());
    drop(up);
    assert_eq!(fs::read(root.pool().join("a")).unwrap(), b"\0\0abc\0\0\0\0\0");
}

#[tokio::test]
async fn an_uploaded_image_has_its_own_format_afterwards() {
    let root = Root::new();
    let (connect, pool) = root.started().await;
    let vol = make(&pool, "a", 10).await;
    let (sender, events) = std::sync::mpsc::channel();
    let id = oxivirt_types::storage::StoragePoolEventId::Refresh;
    let note = Box::new(move |_: &oxivirt::StorageEvent| sender.send(()).unwrap());
    connect.storage_pool_event_register(Some(pool.reference()), id, note).await.unwrap();
    let mut up = vol.upload(ALL, FLAGS).await.unwrap();
    up.write_all(&qcow2(5 << 30, "")).await.unwrap();
    up.close().await.unwrap();
    assert_eq!(events.try_iter().count(), 1);
    let xml = vol.xml_desc().await.unwrap();
    assert!(xml.contains("<format type='qcow2'/>"), "{xml}");
    assert_eq!(vol.info(StorageVolInfoFlags::empty()).await.unwrap().capacity, 5 << 30);
}
