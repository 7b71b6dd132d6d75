//! A guest: a definition that is complete and checked once.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use oxivirt_conf::domain::{DomainDef, DomainError, Form};
use uuid::Uuid;

/// A definition with a name and a UUID.
///
/// The definition can be read through it and is changed only by [`Self::with`].
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    def: Arc<DomainDef>,
    /// The stored document without passwords, once a client has asked for it. Clients read the documents of
    /// all guests again and again.
    listed: Arc<OnceLock<Box<str>>>,
    name: String,
    uuid: Uuid,
}

impl PartialEq for Guest {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.def, &other.def) || self.def == other.def
    }
}

impl Eq for Guest {}

impl Guest {
    /// The guest of a definition.
    ///
    /// # Errors
    /// [`DomainError::NoName`]; a definition without UUID is internal, as completion gives it one.
    pub(crate) fn new(def: DomainDef) -> Result<Self, DomainError> {
        let name = def.name.clone().filter(|name| !name.is_empty()).ok_or(DomainError::NoName)?;
        let uuid = def.uuid.ok_or_else(|| DomainError::Internal("missing uuid".to_owned()))?;
        Ok(Self::of(def, name, uuid))
    }

    fn of(def: DomainDef, name: String, uuid: Uuid) -> Self {
        Self { def: Arc::new(def), listed: Arc::default(), name, uuid }
    }

    /// Its name.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its UUID.
    #[must_use]
    pub(crate) const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Its definition.
    #[must_use]
    pub(crate) fn def(&self) -> &DomainDef {
        &self.def
    }

    /// The guest with a changed definition. Name and UUID stay.
    #[must_use]
    pub(crate) fn with(&self, change: impl FnOnce(&mut DomainDef)) -> Self {
        let mut def = (*self.def).clone();
        change(&mut def);
        def.name = Some(self.name.clone());
        def.uuid = Some(self.uuid);
        Self::of(def, self.name.clone(), self.uuid)
    }

    /// The guest under another name.
    #[must_use]
    pub(crate) fn renamed(&self, name: &str) -> Self {
        let def = DomainDef { name: Some(name.to_owned()), ..(*self.def).clone() };
        Self::of(def, name.to_owned(), self.uuid)
    }

    /// The document, with or without passwords.
    #[must_use]
    pub(crate) fn format(&self, form: Form, secrets: Secrets) -> String {
        match (form, secrets) {
            (form, Secrets::Shown) => self.def.format(form),
            (Form::Live, Secrets::Hidden) => self.without_secrets().format(form),
            (Form::Inactive, Secrets::Hidden) => {
                let listed = self.listed.get_or_init(|| {
                    let mut def = self.without_secrets();
                    def.forget_runtime();
                    def.format(Form::Live).into_boxed_str()
                });
                listed.to_string()
            }
        }
    }

    fn without_secrets(&self) -> DomainDef {
        let mut def = (*self.def).clone();
        for graphics in def.devices.iter_mut().flat_map(|devices| &mut devices.graphics) {
            graphics.password = None;
            graphics.password_valid_to = None;
        }
        def
    }

    /// Memory that it may have, in KiB.
    #[must_use]
    pub(crate) fn max_memory_kib(&self) -> u64 {
        self.def.memory.as_ref().map_or(0, |memory| memory.size.kib())
    }

    /// Memory that it has without its balloon's help, in KiB.
    #[must_use]
    pub(crate) fn memory_kib(&self) -> u64 {
        self.def.current_memory.map_or_else(|| self.max_memory_kib(), |size| size.kib())
    }

    /// Virtual CPUs that it may have.
    #[must_use]
    pub(crate) fn max_vcpus(&self) -> u32 {
        self.def.vcpu.as_ref().and_then(|vcpu| vcpu.count).unwrap_or(1)
    }

    /// Virtual CPUs that it has.
    #[must_use]
    pub(crate) fn vcpus(&self) -> u32 {
        let current = self.def.vcpu.as_ref().and_then(|vcpu| vcpu.current);
        current.unwrap_or_else(|| self.max_vcpus())
    }
}

impl Deref for Guest {
    type Target = DomainDef;

    fn deref(&self) -> &DomainDef {
        &self.def
    }
}

/// Whether a document has passwords in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// It has.
    Shown,
    /// It has not.
    Hidden,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_unless_asked_for() {
        let xml = "<domain type='qemu'><name>a</name>\
            <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid><memory>1024</memory>\
            <os><type>hvm</type></os>\
            <devices><graphics type='vnc' passwd='secret'/></devices></domain>";
        let guest = Guest::new(DomainDef::parse(xml).unwrap()).unwrap();
        assert!(guest.format(Form::Inactive, Secrets::Shown).contains("passwd='secret'"));
        assert!(!guest.format(Form::Inactive, Secrets::Hidden).contains("secret"));
        assert_eq!((guest.max_memory_kib(), guest.memory_kib(), guest.vcpus()), (1024, 1024, 1));
        assert_eq!(guest.renamed("b").def.name.as_deref(), Some("b"));
    }
}
