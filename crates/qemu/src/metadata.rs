//! Title, description and the elements of other programs.
//!
//! libvirt 11.3.0: `virDomainObjGetMetadata`, `virDomainObjSetMetadata`, src/conf/domain_conf.c

use oxivirt::{
    DomainEvent, DomainMetadataChange, DomainRef, Error, ErrorCode, ErrorDomain, MetadataType,
    Result,
};
use oxivirt_conf::Metadata;
use oxivirt_types::domain::DomainAffectFlags as Affect;

use crate::driver::check_flags;
use crate::error;
use crate::guest::Guest;
use crate::registry::{Entry, View};
use crate::shared::Shared;
use crate::store;

impl Shared {
    pub(crate) fn metadata(
        &self,
        domain: &DomainRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: Affect,
    ) -> Result<String> {
        let both = Affect::LIVE | Affect::CONFIG;
        check_flags(flags.bits(), both.bits(), "qemuDomainGetMetadata")?;
        let view = self.entry(domain)?.view();
        if flags == both {
            let detail = "flags 'VIR_DOMAIN_AFFECT_LIVE' and 'VIR_DOMAIN_AFFECT_CONFIG' in function \
                          'virDomainObjGetMetadata' are mutually exclusive";
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::DOMAIN, detail));
        }
        let flags = affected(&view, flags)?;
        let def = if flags == Affect::CONFIG { view.persistent_def() } else { &view.def };
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
            let detail = "Requested metadata element is not present";
            Error::new(ErrorCode::NO_DOMAIN_METADATA, ErrorDomain::DOMAIN, detail)
        })
    }

    /// Stores a definition in place of the one that persists; the running guest keeps its own.
    pub(crate) fn store_def(&self, entry: &Entry, def: Guest) -> Result<()> {
        store::write_config(&self.layout, &def).map_err(|error| error::store(&error))?;
        entry.update(|view| {
            Some(match view.is_active() {
                true => View { new_def: Some(def), ..view.clone() },
                false => View { def, ..view.clone() },
            })
        });
        Ok(())
    }

    pub(crate) async fn set_metadata(
        &self,
        entry: &Entry,
        change: &DomainMetadataChange,
    ) -> Result<()> {
        let supported = Affect::LIVE | Affect::CONFIG;
        check_flags(change.flags.bits(), supported.bits(), "qemuDomainSetMetadata")?;
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        let flags = affected(&view, change.flags)?;
        let (is_live, is_config) = (flags.contains(Affect::LIVE), flags.contains(Affect::CONFIG));
        if is_config {
            self.store_def(entry, changed(view.persistent_def(), change)?)?;
        }
        if is_live && let Some(running) = &view.running {
            let def = changed(&view.def, change)?;
            entry.update(|view| Some(View { def, ..view.clone() }));
            self.save(entry, &running.live).await;
        }
        drop(operation);
        let (domain, kind, uri) = (view.reference(), change.kind, change.uri.clone());
        self.callbacks.emit(&DomainEvent::MetadataChange { domain, kind, uri });
        Ok(())
    }
}

/// What a call changes: without a flag the running guest if it runs, else its stored definition.
///
/// libvirt 11.3.0: `virDomainObjUpdateModificationImpact`, src/conf/domain_conf.c
pub(crate) fn affected(view: &View, flags: Affect) -> Result<Affect> {
    let current = if view.is_active() { Affect::LIVE } else { Affect::CONFIG };
    let flags = if flags.is_empty() { current } else { flags };
    if flags.contains(Affect::LIVE) && !view.is_active() {
        return Err(error::not_running());
    }
    if flags.contains(Affect::CONFIG) && !view.is_persistent() {
        return Err(Error::new(
            ErrorCode::OPERATION_INVALID,
            ErrorDomain::DOMAIN,
            "transient domains do not have any persistent config",
        ));
    }
    Ok(flags)
}

fn unknown(number: i32) -> Error {
    let detail = format!("unknown metadata type '{number}'");
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::DOMAIN, detail)
}

fn changed(guest: &Guest, change: &DomainMetadataChange) -> Result<Guest> {
    let text = change.metadata.clone().filter(|text| !text.is_empty());
    match change.kind {
        MetadataType::Description => Ok(guest.with(|def| def.description = text)),
        MetadataType::Title => {
            if text.as_ref().is_some_and(|text| text.contains('\n')) {
                let detail = "Domain title can't contain newlines";
                return Err(Error::new(ErrorCode::XML_ERROR, ErrorDomain::DOMAIN, detail));
            }
            Ok(guest.with(|def| def.title = text))
        }
        MetadataType::Element => {
            let metadata = Metadata::set(
                guest.metadata.as_ref(),
                change.key.as_deref().unwrap_or_default(),
                change.uri.as_deref().unwrap_or_default(),
                change.metadata.as_deref(),
            )
            .map_err(|error| error::parse(&error))?;
            Ok(guest.with(|def| def.metadata = metadata))
        }
        MetadataType::Unknown(number) => Err(unknown(number)),
    }
}
