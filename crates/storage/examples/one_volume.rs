//! Creates a pool with a volume below a directory, shows both, and deletes them.
//!
//! `cargo run -p oxivirt-storage --example one_volume`

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;

use oxivirt::{Access, Connect};
use oxivirt_storage::layout::Layout;
use oxivirt_storage::{Driver, Options, StartWithHost};
use oxivirt_types::storage::{
    StoragePoolCreateFlags, StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolInfoFlags,
};

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(show())
}

async fn show() -> Result<(), Box<dyn Error>> {
    let root = std::env::temp_dir().join(format!("one-volume-{}", std::process::id()));
    let options = Options {
        layout: Layout::below(&root),
        uri: String::from("storage:///embed"),
        search_path: std::env::var_os("PATH").unwrap_or_default(),
        autostart: StartWithHost::Never,
    };
    let connect = Connect::new(Arc::new(Driver::open(options).await?), Access::ReadWrite);
    let path = root.join("images");
    let xml = format!(
        "<pool type='dir'><name>images</name><target><path>{}</path></target></pool>",
        path.display()
    );
    let pool = connect.storage_pool_create_xml(&xml, StoragePoolCreateFlags::WITH_BUILD).await?;
    let xml = "<volume><name>disk</name><capacity unit='M'>8</capacity><allocation>0</allocation></volume>";
    let volume = pool.vol_create_xml(xml, StorageVolCreateFlags::empty()).await?;
    let info = volume.info(StorageVolInfoFlags::empty()).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{} of {}: {} bytes", volume.name(), pool.name(), info.capacity)?;
    volume.delete(StorageVolDeleteFlags::empty()).await?;
    pool.destroy().await?;
    drop(pool);
    std::fs::remove_dir_all(&root)?;
    Ok(())
}
