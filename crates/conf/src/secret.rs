//! `<secret>`: what a secret is for; never its value.

use oxivirt_xml::{self as xml, Blanks, Presence, Writer};

use crate::element::{Content as _, elements};
use crate::error::{Class, ErrorCode, ErrorDomain, Result};
use crate::keyword::{YesNo, words};
use crate::uuid::Uuid;

words! {
    /// What a secret is for.
    pub enum SecretUsageType {
        None = "none",
        Volume = "volume",
        Ceph = "ceph",
        Iscsi = "iscsi",
        Tls = "tls",
        Vtpm = "vtpm",
    }
}

elements! {
    /// `<secret>`
    pub struct SecretDef {
        attr ephemeral: Option<YesNo> = "ephemeral",
        attr private: Option<YesNo> = "private",
        text uuid: Option<Uuid> = "uuid",
        text description: Option<String> = "description",
        child usage: Option<SecretUsage> = "usage",
    }

    /// `<usage>`
    pub struct SecretUsage {
        attr kind: Option<SecretUsageType> = "type",
        text volume: Option<String> = "volume",
        text name: Option<String> = "name",
        text target: Option<String> = "target",
    }
}

/// Why a secret's document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Not well-formed.
    #[error("{0}")]
    NotWellFormed(oxivirt_xml::XmlError),
    /// A use without its kind.
    #[error("unknown secret usage type")]
    NoUsageType,
    /// A use without what it is used for.
    #[error("{kind} usage specified, but {part} is missing")]
    NoUsage {
        /// The kind of use.
        kind: &'static str,
        /// What is missing.
        part: &'static str,
    },
}

impl SecretError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::NotWellFormed(_) => (ErrorCode::XML_DETAIL, ErrorDomain::SECRET),
            _ => (ErrorCode::XML_ERROR, ErrorDomain::SECRET),
        }
    }
}

impl SecretDef {
    /// Reads a `<secret>` document.
    ///
    /// # Errors
    /// [`ParseError`](crate::ParseError): not well-formed, another kind of document, or a use without
    /// what it is for.
    ///
    /// libvirt 11.3.0: `virSecretParseXML`, src/conf/secret_conf.c
    pub fn parse(text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(SecretError::NotWellFormed)?;
        crate::network::check_root(&root, "secret")?;
        let mut secret = Self::read(&root)?;
        secret.ephemeral.get_or_insert(YesNo::No);
        secret.private.get_or_insert(YesNo::No);
        if let Some(usage) = &secret.usage {
            usage.check()?;
        }
        Ok(secret)
    }

    /// Writes the document, ending in a line feed.
    ///
    /// libvirt 11.3.0: `virSecretDefFormat`, src/conf/secret_conf.c
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = Writer::new();
        self.write("secret", Presence::Always, &mut out);
        out.finish()
    }
}

impl SecretUsage {
    fn check(&self) -> Result<(), SecretError> {
        let missing = |kind, part| Err(SecretError::NoUsage { kind, part });
        match self.kind {
            None => Err(SecretError::NoUsageType),
            Some(SecretUsageType::Volume) if self.volume.is_none() => {
                missing("volume", "volume path")
            }
            Some(SecretUsageType::Ceph) if self.name.is_none() => missing("Ceph", "name"),
            Some(SecretUsageType::Iscsi) if self.target.is_none() => missing("iSCSI", "target"),
            Some(SecretUsageType::Tls) if self.name.is_none() => missing("TLS", "name"),
            Some(SecretUsageType::Vtpm) if self.name.is_none() => missing("vTPM", "name"),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Classified as _;

    #[test]
    fn a_secret_is_completed() {
        let text = "<secret><usage type='ceph'><name>a</name></usage></secret>";
        assert_eq!(
            SecretDef::parse(text).unwrap().format(),
            "<secret ephemeral='no' private='no'>\n  <usage type='ceph'>\n    <name>a</name>\n  \
             </usage>\n</secret>\n",
        );
    }

    #[test]
    fn refusals() {
        let error = SecretDef::parse("<secret><usage type='volume'/></secret>").unwrap_err();
        assert_eq!((error.code().0, error.domain().0), (27, 30));
        assert_eq!(
            error.to_string(),
            "XML error: volume usage specified, but volume path is missing"
        );
        assert!(SecretDef::parse("<secret><usage/></secret>").is_err());
    }
}
