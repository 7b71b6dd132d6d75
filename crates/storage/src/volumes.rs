//! Calls about volumes.
//!
//! A creation holds its pool's lock at its beginning and its end only: other volumes are created
//! meanwhile. In between the pool lists the volume, and refuses to be stopped or refreshed.
//!
//! libvirt 11.3.0: `storageVolCreateXML` and its like, src/storage/storage_driver.c

use std::path::Path;
use std::sync::Arc;

use oxivirt::{Error, ErrorCode, ErrorDomain, Result, StorageVolInfo, StorageVolRef};
use oxivirt_conf::domain::ByteSize;
use oxivirt_conf::storage::{Capacity, StorageVolumeDef};
use oxivirt_engine::operation::{self, StartError};
use oxivirt_engine::{JournalEntry, Operation, Plan};
use oxivirt_types::storage::{
    StorageVolDeleteFlags, StorageVolInfoFlags, StorageVolResizeFlags, WipeAlgorithm,
};
use uuid::Uuid;

use crate::dir::STAGING_PREFIX;
use crate::error;
use crate::host::{self, Context as _, open_pool};
use crate::measure::{self, Known};
use crate::plan::{self, CopyFrom, CreateOptions, Creation, Place, Resize, Undo};
use crate::registry::{Entry, View, Volume};
use crate::shared::{Found, Shared, active, blocking};

impl Shared {
    /// Creates a volume, with the data of `source` if there is one.
    pub(crate) async fn create_volume(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        xml: &str,
        mut options: CreateOptions,
        source: Option<Found>,
    ) -> Result<StorageVolRef> {
        let _source_in_use = source.as_ref().map(|source| self.use_volume(source));
        let (creation, place, def) = {
            let _operation = entry.lock().await;
            let view = entry.view();
            self.check_exists(&view)?;
            active(&view)?;
            let def = self.requested(&view, xml, &mut options, source.as_ref()).await?;
            let begun = begin(&view, def, &options, source.is_some())?;
            let (name, def) = (begun.1.name.clone(), begun.2.clone());
            entry.set(view.with_volumes(|volumes| {
                volumes.insert(name, Volume::building(def));
            }));
            begun
        };
        let made = self.make(entry, &creation, &place).await;
        let _operation = entry.lock().await;
        let view = entry.view();
        let measured = match made {
            Ok(()) => {
                let format = Volume::building(def).format().to_owned();
                self.measure(&view, &place.name, Some(format)).await
            }
            Err(failure) => Err(failure),
        };
        let name = place.name;
        match measured {
            Ok((view, Some(volume))) => {
                let reference = view.volume_reference(&name, &volume);
                entry.set(view);
                Ok(reference)
            }
            Ok((view, None)) => {
                entry.set(view);
                Err(error::no_volume(&format!("name '{name}'")))
            }
            Err(failure) => {
                entry.set(view.with_volumes(|volumes| drop(volumes.remove(&name))));
                Err(failure)
            }
        }
    }

    /// What a client asks for, with what follows from the pool and the source.
    async fn requested(
        &self,
        view: &View,
        xml: &str,
        options: &mut CreateOptions,
        source: Option<&Found>,
    ) -> Result<StorageVolumeDef> {
        let capacity = if source.is_some() { Capacity::Optional } else { Capacity::Required };
        let pool = view.pool.def();
        let (kind, format) = (pool.volume_type(), pool.volume_format());
        let def = StorageVolumeDef::parse(xml, kind, format, capacity);
        let mut def = def.map_err(|failure| Error::classified(&failure))?;
        let name = def.name.clone().unwrap_or_default();
        let path = host::pool_path(&view.pool).join(&name).to_string_lossy().into_owned();
        def.key = Some(path.clone());
        def.physical = None;
        def.target.get_or_insert_default().path = Some(path);
        if let Some(found) = source {
            found.check_ready()?;
            // its size as it is now
            let volume = self.current(found).await?;
            let size = def.capacity.unwrap_or_default().bytes.max(volume.capacity());
            def.capacity = Some(ByteSize { bytes: size });
            options.source = Some(CopyFrom {
                path: volume.path().to_owned(),
                format: volume.format().to_owned(),
                capacity: volume.capacity(),
                is_encrypted: volume.is_encrypted(),
            });
        }
        let pool_path = host::pool_path(&view.pool);
        if let Some(path) = def.backing_store.as_mut().and_then(|store| store.path.as_mut())
            && !path.is_empty()
            && !path.starts_with('/')
            && !path.starts_with("json:")
            && !path.contains("://")
        {
            // the image is made in another directory, so its name for the image below must not depend on it
            *path = pool_path.join(&*path).to_string_lossy().into_owned();
        }
        if let Some((path, _)) = plan::backing(&def).filter(|(path, _)| path.starts_with('/')) {
            let path = path.to_owned();
            blocking(move || {
                let found = std::fs::metadata(&path);
                found.context(|| format!("inaccessible backing store volume {path}")).map(drop)
            })
            .await?;
        }
        Ok(def)
    }

    /// Carries a creation out: the volume has its name afterwards, or nothing is left of it.
    async fn make(&self, entry: &Entry, creation: &Creation, place: &Place) -> Result<()> {
        let undo = creation.undo.clone();
        let journal = Self::journal_entry(Operation::Start, &entry.view(), &place.name, undo);
        let commit = async |()| {
            let place = place.clone();
            blocking(move || {
                host::adopt(&place)?;
                host::clean_up(&place);
                Ok(())
            })
            .await
        };
        let made = operation::start(
            &self.host,
            &self.journal,
            &journal,
            &creation.plan,
            std::future::ready(()),
            commit,
            |_| true,
        );
        made.await.map_err(|failure| match failure {
            StartError::Journal(failure) => error::journal(&failure),
            StartError::Step(stopped) => error::host(&stopped.error),
            StartError::Commit(failure) => failure,
        })
    }

    /// Reads a volume and the sizes of its pool again; the format is found by the header without `format`.
    pub(crate) async fn measure(
        &self,
        view: &View,
        name: &str,
        format: Option<String>,
    ) -> Result<(View, Option<Volume>)> {
        let (path, inner) = (host::pool_path(&view.pool), name.to_owned());
        let (def, usage) = blocking(move || {
            let dir = open_pool(&path)?;
            let known = format.as_deref().map_or(Known::Probe, Known::Format);
            let def = measure::volume(&dir, &path, &inner, known);
            let def =
                def.context(|| format!("cannot open volume '{}'", path.join(&inner).display()))?;
            let usage = measure::usage(&dir);
            Ok((def, usage.context(|| format!("cannot statvfs path '{}'", path.display()))?))
        })
        .await?;
        let volume = def.map(Volume::ready);
        let mut view = view.with_volumes(|volumes| {
            match volume.clone() {
                Some(volume) => drop(volumes.insert(name.to_owned(), volume)),
                None => drop(volumes.remove(name)),
            };
        });
        if let Some(active) = &mut view.active {
            active.usage = usage;
        }
        Ok((view, volume))
    }

    /// A volume as it is now, of the format that is known of it.
    async fn current(&self, found: &Found) -> Result<Volume> {
        if found.check_ready().is_err() {
            return Ok(found.volume.clone());
        }
        let format = Some(found.volume.format().to_owned());
        let (_, volume) = self.measure(&found.view, &found.name, format).await?;
        volume.ok_or_else(|| error::no_volume(&format!("name '{}'", found.name)))
    }

    /// Reads a volume again that was changed; the caller holds the lock of its pool.
    pub(crate) async fn update(
        &self,
        entry: &Entry,
        name: &str,
        format: Option<String>,
    ) -> Result<()> {
        let (view, _) = self.measure(&entry.view(), name, format).await?;
        entry.set(view);
        Ok(())
    }

    pub(crate) async fn volume_info(
        &self,
        found: &Found,
        flags: StorageVolInfoFlags,
    ) -> Result<StorageVolInfo> {
        let volume = self.current(found).await?;
        let allocation = match flags.contains(StorageVolInfoFlags::GET_PHYSICAL) {
            true => volume.physical(),
            false => volume.allocation(),
        };
        Ok(StorageVolInfo { kind: volume.kind(), capacity: volume.capacity(), allocation })
    }

    pub(crate) async fn volume_document(&self, found: &Found) -> Result<String> {
        Ok(self.current(found).await?.def.format())
    }

    pub(crate) async fn delete_volume(
        &self,
        vol: &StorageVolRef,
        flags: StorageVolDeleteFlags,
    ) -> Result<()> {
        let entry = self.find(vol)?.entry;
        let _operation = entry.lock().await;
        // an operation that held the lock may have changed it
        let found = self.find(vol)?;
        self.check_unused(&found)?;
        found.check_ready()?;
        if !flags.is_empty() {
            let function = "virStorageBackendVolDeleteLocal";
            return Err(Error::unsupported_flags(ErrorDomain::STORAGE, flags.bits(), function));
        }
        if let Some(undo) = self.removal(&found).await? {
            let mut list = Plan::default();
            list.then([undo]);
            let entry = Self::journal_entry(Operation::Stop, &found.view, &found.name, list);
            self.remove(&entry).await?;
        }
        let usage = {
            let path = found.pool_path();
            blocking(move || measure::usage(&open_pool(&path)?).context(String::new)).await
        };
        let mut view = found.view.with_volumes(|volumes| drop(volumes.remove(&found.name)));
        if let (Some(active), Ok(usage)) = (&mut view.active, usage) {
            active.usage = usage;
        }
        found.entry.set(view);
        Ok(())
    }

    /// What removes a volume; `None` if it has gone.
    async fn removal(&self, found: &Found) -> Result<Option<Undo>> {
        let (pool, name) = (found.pool_path(), found.name.clone());
        blocking(move || match open_pool(&pool)?.lstat(&name) {
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(None),
            other => {
                let path = pool.join(&name);
                let stat = other.context(|| format!("cannot stat file '{}'", path.display()))?;
                let (device, inode) = (stat.st_dev, stat.st_ino);
                Ok(Some(Undo::RemoveVolume { pool, name, device, inode }))
            }
        })
        .await
    }

    /// Carries a removal out. One that the host refuses has not begun: it is not tried again later.
    async fn remove(&self, entry: &JournalEntry<Undo>) -> Result<()> {
        self.journal.write(entry).map_err(|failure| error::journal(&failure))?;
        let failed = operation::stop(&self.host, &self.journal, entry).await.into_iter().next();
        let Some(failure) = failed else { return Ok(()) };
        if let Err(failure) = self.journal.remove(entry.uuid) {
            let cause = oxivirt_sys::chain::text(&failure);
            tracing::warn!(volume = entry.name, error = cause, "cannot remove journal entry");
        }
        Err(error::host(&failure))
    }

    pub(crate) async fn resize_volume(
        &self,
        vol: &StorageVolRef,
        capacity: u64,
        flags: StorageVolResizeFlags,
    ) -> Result<()> {
        let entry = self.find(vol)?.entry;
        let _operation = entry.lock().await;
        // an operation that held the lock may have changed it
        let found = self.find(vol)?;
        self.check_unused(&found)?;
        found.check_ready()?;
        let volume = self.current(&found).await?;
        let available = active(&found.view)?.usage.available;
        let sizes = (volume.capacity(), volume.allocation());
        match plan::resize(volume.format(), sizes, available, capacity, flags)? {
            Resize::File { capacity, allocates } => {
                let (path, name, old) = (found.pool_path(), found.name.clone(), sizes.0);
                blocking(move || resize_file(&path, &name, old, capacity, allocates)).await?;
            }
            Resize::Image(run) => self.resize_image(&found, &volume, &run).await?,
        }
        self.update(&found.entry, &found.name, Some(volume.format().to_owned())).await
    }

    async fn resize_image(
        &self,
        found: &Found,
        volume: &Volume,
        run: &plan::QemuImg,
    ) -> Result<()> {
        let (pool, name) = (found.pool_path(), found.name.clone());
        let path = pool.join(&name);
        let shown = path.clone();
        let dir = blocking(move || {
            let dir = open_pool(&pool)?;
            // a link would lead out of the pool
            dir.open_for_writing(&name)
                .context(|| format!("cannot open volume '{}'", shown.display()))?;
            Ok(dir)
        })
        .await?;
        let inside = dir.path_for_programs(&found.name);
        tracing::debug!(volume = volume.path(), "resizing an image");
        let resized = self.host.run_qemu_img(run, &inside, &path).await;
        resized.map_err(|failure| error::host(&failure))
    }

    pub(crate) async fn wipe_volume(
        self: &Arc<Self>,
        vol: &StorageVolRef,
        algorithm: WipeAlgorithm,
    ) -> Result<()> {
        if let WipeAlgorithm::Unknown(number) = algorithm {
            let detail = format!("wiping algorithm {number} not supported");
            return Err(error::new(ErrorCode::INVALID_ARG, detail));
        }
        let entry = self.find(vol)?.entry;
        let (found, _in_use) = {
            let _operation = entry.lock().await;
            let found = self.find(vol)?;
            self.check_unused(&found)?;
            found.check_ready()?;
            let in_use = self.use_volume(&found);
            (found, in_use)
        };
        if algorithm != WipeAlgorithm::Zero {
            let detail = format!("wiping algorithm {} needs a program", algorithm.number());
            return Err(error::new(ErrorCode::ARGUMENT_UNSUPPORTED, detail));
        }
        let (path, name) = (found.pool_path(), found.name.clone());
        blocking(move || wipe_file(&path, &name)).await?;
        // what was an image is raw data now
        let _operation = entry.lock().await;
        self.update(&entry, &found.name, None).await
    }
}

/// Checks a request and plans it.
fn begin(
    view: &View,
    def: StorageVolumeDef,
    options: &CreateOptions,
    is_copy: bool,
) -> Result<(Creation, Place, StorageVolumeDef)> {
    let staging = format!("{STAGING_PREFIX}{}", Uuid::new_v4());
    let pool = host::pool_path(&view.pool);
    let creation = plan::create(&def, pool.clone(), staging.clone(), options)?;
    let name = def.name.clone().unwrap_or_default();
    if active(view)?.volumes.contains_key(&name) {
        return Err(match is_copy {
            true => {
                let detail = format!("storage volume name '{name}' already in use.");
                error::new(ErrorCode::INTERNAL_ERROR, detail)
            }
            false => error::new(ErrorCode::STORAGE_VOL_EXIST, format!("'{name}'")),
        });
    }
    Ok((creation, Place { pool, staging, name }, def))
}

fn resize_file(
    pool: &Path,
    name: &str,
    old: u64,
    capacity: u64,
    allocates: bool,
) -> std::result::Result<(), host::HostError> {
    let path = pool.join(name);
    let path = path.display();
    let file =
        open_pool(pool)?.open_for_writing(name).context(|| format!("Unable to open '{path}'"))?;
    let failed = || format!("Failed to truncate file '{path}'");
    file.set_len(capacity).context(failed)?;
    if allocates && capacity > old {
        host::allocate(&file, old, capacity - old)
            .context(|| format!("Failed to pre-allocate space for file '{path}'"))?;
    }
    file.sync_all().context(failed)
}

fn wipe_file(pool: &Path, name: &str) -> std::result::Result<(), host::HostError> {
    use std::os::unix::fs::MetadataExt as _;

    let path = pool.join(name);
    let path = path.display();
    let failed = || format!("Failed to wipe storage volume with path '{path}'");
    let file = open_pool(pool)?.open_for_writing(name).context(failed)?;
    let meta = file.metadata().context(failed)?;
    let (size, used) = (meta.len(), meta.blocks().saturating_mul(512));
    if used < size {
        // it has holes: its blocks are given back, and read as zeros
        file.set_len(0).context(failed)?;
        file.set_len(size).context(failed)?;
    } else {
        host::zero(&file, 0, size).context(failed)?;
    }
    file.sync_all().context(failed)
}
