//! Calls about storage pools and volumes.

use async_trait::async_trait;
use oxivirt::{
    Autostart, CallbackId, Error, ErrorCode, ErrorDomain, Result, StorageDriver,
    StorageEventCallback, StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDefineFlags,
    StoragePoolDeleteFlags, StoragePoolEventId, StoragePoolInfo, StoragePoolListFlags,
    StoragePoolRef, StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolInfo,
    StorageVolInfoFlags, StorageVolRef, StorageVolResizeFlags, StorageVolTransferFlags,
    StorageXmlFlags, VolumeRange, VolumeStream, WipeAlgorithm,
};
use uuid::Uuid;

use super::RemoteDriver;
use super::events::Filter;
use crate::protocol::storage::{DOWNLOAD, StorageCallsRequest, UPLOAD};
use crate::wire::{StoragePool, StorageVol};

fn wire(pool: &StoragePoolRef) -> StoragePool {
    pool.into()
}

fn wire_vol(vol: &StorageVolRef) -> StorageVol {
    vol.into()
}

#[async_trait]
impl StorageDriver for RemoteDriver {
    async fn list_all_storage_pools(
        &self,
        flags: StoragePoolListFlags,
    ) -> Result<Vec<StoragePoolRef>> {
        let asked = self.storage.connect_list_all_storage_pools(self.context(), 1, flags.bits());
        Ok(self.ask(asked).await?.pools.0.iter().map(StoragePoolRef::from).collect())
    }

    async fn find_storage_pool_sources(
        &self,
        kind: &str,
        spec: Option<&str>,
        flags: u32,
    ) -> Result<String> {
        let (context, spec) = (self.context(), spec.map(Into::into));
        let asked =
            self.storage.connect_find_storage_pool_sources(context, kind.into(), spec, flags);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn storage_pool_capabilities(&self, flags: u32) -> Result<String> {
        let asked = self.storage.connect_get_storage_pool_capabilities(self.context(), flags);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn storage_pool_lookup_by_name(&self, name: &str) -> Result<StoragePoolRef> {
        let asked = self.storage.storage_pool_lookup_by_name(self.context(), name.into());
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_pool_lookup_by_uuid(&self, uuid: Uuid) -> Result<StoragePoolRef> {
        let uuid = uuid.into_bytes().into();
        let asked = self.storage.storage_pool_lookup_by_uuid(self.context(), uuid);
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_pool_lookup_by_volume(&self, vol: &StorageVolRef) -> Result<StoragePoolRef> {
        let asked = self.storage.storage_pool_lookup_by_volume(self.context(), wire_vol(vol));
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_pool_lookup_by_target_path(&self, path: &str) -> Result<StoragePoolRef> {
        let asked = self.storage.storage_pool_lookup_by_target_path(self.context(), path.into());
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_pool_define_xml(
        &self,
        xml: &str,
        flags: StoragePoolDefineFlags,
    ) -> Result<StoragePoolRef> {
        let (context, xml) = (self.context(), xml.into());
        let asked = self.storage.storage_pool_define_xml(context, xml, flags.bits());
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_pool_create_xml(
        &self,
        xml: &str,
        flags: StoragePoolCreateFlags,
    ) -> Result<StoragePoolRef> {
        let (context, xml) = (self.context(), xml.into());
        let asked = self.storage.storage_pool_create_xml(context, xml, flags.bits());
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_pool_create(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolCreateFlags,
    ) -> Result<()> {
        self.ask(self.storage.storage_pool_create(self.context(), wire(pool), flags.bits())).await
    }

    async fn storage_pool_build(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolBuildFlags,
    ) -> Result<()> {
        self.ask(self.storage.storage_pool_build(self.context(), wire(pool), flags.bits())).await
    }

    async fn storage_pool_destroy(&self, pool: &StoragePoolRef) -> Result<()> {
        self.ask(self.storage.storage_pool_destroy(self.context(), wire(pool))).await
    }

    async fn storage_pool_delete(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolDeleteFlags,
    ) -> Result<()> {
        self.ask(self.storage.storage_pool_delete(self.context(), wire(pool), flags.bits())).await
    }

    async fn storage_pool_undefine(&self, pool: &StoragePoolRef) -> Result<()> {
        self.ask(self.storage.storage_pool_undefine(self.context(), wire(pool))).await
    }

    async fn storage_pool_refresh(&self, pool: &StoragePoolRef, flags: u32) -> Result<()> {
        self.ask(self.storage.storage_pool_refresh(self.context(), wire(pool), flags)).await
    }

    async fn storage_pool_info(&self, pool: &StoragePoolRef) -> Result<StoragePoolInfo> {
        let asked = self.storage.storage_pool_get_info(self.context(), wire(pool));
        Ok(self.ask(asked).await?.into())
    }

    async fn storage_pool_xml_desc(
        &self,
        pool: &StoragePoolRef,
        flags: StorageXmlFlags,
    ) -> Result<String> {
        let (context, flags) = (self.context(), flags.bits());
        let asked = self.storage.storage_pool_get_xml_desc(context, wire(pool), flags);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn storage_pool_autostart(&self, pool: &StoragePoolRef) -> Result<Autostart> {
        let asked = self.storage.storage_pool_get_autostart(self.context(), wire(pool));
        Ok(match self.ask(asked).await? {
            0 => Autostart::Disabled,
            _ => Autostart::Enabled,
        })
    }

    async fn storage_pool_set_autostart(
        &self,
        pool: &StoragePoolRef,
        autostart: Autostart,
    ) -> Result<()> {
        let number = i32::from(autostart == Autostart::Enabled);
        let asked = self.storage.storage_pool_set_autostart(self.context(), wire(pool), number);
        self.ask(asked).await
    }

    async fn storage_pool_is_active(&self, pool: &StoragePoolRef) -> Result<bool> {
        let asked = self.storage.storage_pool_is_active(self.context(), wire(pool));
        Ok(self.ask(asked).await? != 0)
    }

    async fn storage_pool_is_persistent(&self, pool: &StoragePoolRef) -> Result<bool> {
        let asked = self.storage.storage_pool_is_persistent(self.context(), wire(pool));
        Ok(self.ask(asked).await? != 0)
    }

    async fn storage_pool_list_all_volumes(
        &self,
        pool: &StoragePoolRef,
        flags: u32,
    ) -> Result<Vec<StorageVolRef>> {
        let context = self.context();
        let asked = self.storage.storage_pool_list_all_volumes(context, wire(pool), 1, flags);
        Ok(self.ask(asked).await?.vols.0.iter().map(StorageVolRef::from).collect())
    }

    async fn storage_vol_lookup_by_name(
        &self,
        pool: &StoragePoolRef,
        name: &str,
    ) -> Result<StorageVolRef> {
        let (context, name) = (self.context(), name.into());
        let asked = self.storage.storage_vol_lookup_by_name(context, wire(pool), name);
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_vol_lookup_by_key(&self, key: &str) -> Result<StorageVolRef> {
        let asked = self.storage.storage_vol_lookup_by_key(self.context(), key.into());
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_vol_lookup_by_path(&self, path: &str) -> Result<StorageVolRef> {
        let asked = self.storage.storage_vol_lookup_by_path(self.context(), path.into());
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_vol_create_xml(
        &self,
        pool: &StoragePoolRef,
        xml: &str,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVolRef> {
        let (context, xml, flags) = (self.context(), xml.into(), flags.bits());
        let asked = self.storage.storage_vol_create_xml(context, wire(pool), xml, flags);
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_vol_create_xml_from(
        &self,
        pool: &StoragePoolRef,
        xml: &str,
        source: &StorageVolRef,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVolRef> {
        let (context, xml, flags) = (self.context(), xml.into(), flags.bits());
        let source = wire_vol(source);
        let storage = &self.storage;
        let asked = storage.storage_vol_create_xml_from(context, wire(pool), xml, source, flags);
        Ok((&self.ask(asked).await?).into())
    }

    async fn storage_vol_delete(
        &self,
        vol: &StorageVolRef,
        flags: StorageVolDeleteFlags,
    ) -> Result<()> {
        self.ask(self.storage.storage_vol_delete(self.context(), wire_vol(vol), flags.bits())).await
    }

    async fn storage_vol_wipe(
        &self,
        vol: &StorageVolRef,
        algorithm: WipeAlgorithm,
        flags: u32,
    ) -> Result<()> {
        let (context, vol) = (self.context(), wire_vol(vol));
        if algorithm == WipeAlgorithm::Zero {
            return self.ask(self.storage.storage_vol_wipe(context, vol, flags)).await;
        }
        let number = algorithm.number().cast_unsigned();
        self.ask(self.storage.storage_vol_wipe_pattern(context, vol, number, flags)).await
    }

    async fn storage_vol_resize(
        &self,
        vol: &StorageVolRef,
        capacity: u64,
        flags: StorageVolResizeFlags,
    ) -> Result<()> {
        let (context, vol) = (self.context(), wire_vol(vol));
        self.ask(self.storage.storage_vol_resize(context, vol, capacity, flags.bits())).await
    }

    async fn storage_vol_info(
        &self,
        vol: &StorageVolRef,
        flags: StorageVolInfoFlags,
    ) -> Result<StorageVolInfo> {
        let (context, vol) = (self.context(), wire_vol(vol));
        let info = if flags.is_empty() {
            self.ask(self.storage.storage_vol_get_info(context, vol)).await?
        } else {
            self.ask(self.storage.storage_vol_get_info_flags(context, vol, flags.bits())).await?
        };
        Ok(info.into())
    }

    async fn storage_vol_xml_desc(&self, vol: &StorageVolRef, flags: u32) -> Result<String> {
        let asked = self.storage.storage_vol_get_xml_desc(self.context(), wire_vol(vol), flags);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn storage_vol_path(&self, vol: &StorageVolRef) -> Result<String> {
        let asked = self.storage.storage_vol_get_path(self.context(), wire_vol(vol));
        Ok(self.ask(asked).await?.to_text())
    }

    async fn storage_vol_upload(
        &self,
        vol: &StorageVolRef,
        range: VolumeRange,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        let VolumeRange { offset, length } = range;
        let (vol, flags) = (wire_vol(vol), flags.bits());
        let call = StorageCallsRequest::StorageVolUpload { vol, offset, length, flags };
        Ok(Box::new(self.open_stream(UPLOAD, &call).await?.0))
    }

    async fn storage_vol_download(
        &self,
        vol: &StorageVolRef,
        range: VolumeRange,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        let VolumeRange { offset, length } = range;
        let (vol, flags) = (wire_vol(vol), flags.bits());
        let call = StorageCallsRequest::StorageVolDownload { vol, offset, length, flags };
        Ok(Box::new(self.open_stream(DOWNLOAD, &call).await?.0))
    }

    async fn storage_pool_event_register(
        &self,
        pool: Option<&StoragePoolRef>,
        id: StoragePoolEventId,
        callback: StorageEventCallback,
    ) -> Result<CallbackId> {
        let filter = Filter { id, object: pool.map(|pool| pool.uuid) };
        let number = match self.storage_subscriptions.find(filter) {
            Some(number) => number,
            None => {
                let (context, id, pool) =
                    (self.context(), id.number(), pool.map(StoragePool::from));
                let asked = self.storage.connect_storage_pool_event_register_any(context, id, pool);
                self.ask(asked).await?
            }
        };
        Ok(self.storage_subscriptions.add(number, filter, callback))
    }

    async fn storage_pool_event_deregister(&self, id: CallbackId) -> Result<()> {
        match self.storage_subscriptions.remove(id) {
            None => {
                let detail = format!("could not find event callback {} for deletion", id.0);
                Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail))
            }
            Some(None) => Ok(()),
            Some(Some(number)) => {
                let (storage, context) = (&self.storage, self.context());
                let asked = storage.connect_storage_pool_event_deregister_any(context, number);
                self.ask(asked).await
            }
        }
    }
}
