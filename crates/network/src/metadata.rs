//! Title, description and the elements of other programs.
//!
//! libvirt 11.3.0: `virNetworkObjSetMetadata`, `virNetworkObjGetMetadata`, src/conf/virnetworkobj.c

use oxivirt::{
    Error, ErrorCode, ErrorDomain, MetadataChange, MetadataType, NetworkEvent, NetworkRef, Result,
    UpdateFlags,
};
use oxivirt_conf::Metadata;

use crate::apply::Host;
use crate::network::Network;
use crate::registry::Entry;
use crate::shared::Shared;
use crate::update::affected;

impl<H: Host> Shared<H> {
    pub(crate) fn metadata(
        &self,
        network: &NetworkRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: UpdateFlags,
    ) -> Result<String> {
        let both = UpdateFlags::LIVE | UpdateFlags::CONFIG;
        flags.check(both, ErrorDomain::NETWORK, "networkGetMetadata")?;
        let view = self.entry(network)?.view();
        if flags == both {
            return Err(Error::invalid_argument(
                "flags 'VIR_NETWORK_UPDATE_AFFECT_LIVE' and 'VIR_NETWORK_UPDATE_AFFECT_CONFIG' in \
                 function 'virNetworkObjGetMetadata' are mutually exclusive",
            ));
        }
        let flags = affected(&view, flags)?;
        let def = match flags.contains(UpdateFlags::CONFIG) {
            true => view.persistent_def(),
            false => &view.def,
        };
        let found = match kind {
            MetadataType::Description => def.description.clone(),
            MetadataType::Title => def.title.clone(),
            MetadataType::Element => {
                let get = |metadata: &Metadata| metadata.get(uri.unwrap_or_default());
                def.metadata.as_ref().and_then(get)
            }
            MetadataType::Unknown(number) => return Err(unknown(number)),
        };
        found.ok_or_else(|| {
            let code = ErrorCode::NO_NETWORK_METADATA;
            let detail = "Requested metadata element is not present";
            Error::new(code, ErrorDomain::NETWORK, detail)
        })
    }

    pub(crate) async fn set_metadata(&self, entry: &Entry, change: &MetadataChange) -> Result<()> {
        change.flags.check(UpdateFlags::all(), ErrorDomain::NETWORK, "networkSetMetadata")?;
        let operation = entry.lock().await;
        let old = entry.view();
        self.entry(&old.reference())?;
        let flags = affected(&old, change.flags)?;
        let config = match flags.contains(UpdateFlags::CONFIG) {
            true => Some(changed(old.persistent_def(), change)?),
            false => None,
        };
        let live = match flags.contains(UpdateFlags::LIVE) {
            true => Some(changed(&old.def, change)?),
            false => None,
        };
        self.set_defs(entry, &old, live, config).await?;
        drop(operation);
        let (network, kind, uri) = (old.reference(), change.kind, change.uri.clone());
        self.callbacks.emit(&NetworkEvent::MetadataChange { network, kind, uri });
        Ok(())
    }
}

fn unknown(number: i32) -> Error {
    let detail = format!("unknown metadata type '{number}'");
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NETWORK, detail)
}

fn changed(network: &Network, change: &MetadataChange) -> Result<Network> {
    let mut def = network.def().clone();
    let text = || change.metadata.clone().filter(|text| !text.is_empty());
    match change.kind {
        MetadataType::Description => def.description = text(),
        MetadataType::Title => def.title = text(),
        MetadataType::Element => {
            let set = Metadata::set(
                def.metadata.as_ref(),
                change.key.as_deref().unwrap_or_default(),
                change.uri.as_deref().unwrap_or_default(),
                change.metadata.as_deref(),
            );
            def.metadata = set.map_err(|error| Error::classified(&error))?;
        }
        MetadataType::Unknown(number) => return Err(unknown(number)),
    }
    Ok(network.with_def(def))
}
