//! What users note in a domain.

use oxivirt::{Domain, DomainAffectFlags, ErrorCode, MetadataChange, MetadataType};

use crate::args::Args;
use crate::commands::notes::{Noted, Said};
use crate::failure::Failure;
use crate::i18n::tr;
use crate::shell::Shell;

impl Noted for Domain {
    type Scope = DomainAffectFlags;

    const MISSING: ErrorCode = ErrorCode::NO_DOMAIN_METADATA;
    const READS_FIRST: bool = false;

    fn find(shell: &mut Shell, args: &Args) -> Result<Self, Failure> {
        super::domain(shell, args)
    }

    fn scope(args: &Args) -> Result<DomainAffectFlags, Failure> {
        super::scope(args)
    }

    fn readable(scope: DomainAffectFlags) -> DomainAffectFlags {
        if scope.contains(DomainAffectFlags::LIVE | DomainAffectFlags::CONFIG) {
            DomainAffectFlags::CONFIG
        } else {
            scope
        }
    }

    async fn read(
        &self,
        kind: MetadataType,
        uri: Option<&str>,
        scope: DomainAffectFlags,
    ) -> oxivirt::Result<String> {
        self.metadata(kind, uri, scope).await
    }

    async fn write(&self, change: &MetadataChange<DomainAffectFlags>) -> oxivirt::Result<()> {
        self.set_metadata(change).await
    }

    fn line(&self, said: Said, kind: MetadataType) -> String {
        let name = self.name();
        match (said, kind == MetadataType::Title) {
            (Said::Missing, true) => tr!("No title for domain: {name}", name = name),
            (Said::Missing, false) => tr!("No description for domain: {name}", name = name),
            (Said::Unchanged, true) => tr!("Domain title not changed\n"),
            (Said::Unchanged, false) => tr!("Domain description not changed\n"),
            (Said::Refused, true) => tr!("Failed to set new domain title"),
            (Said::Refused, false) => tr!("Failed to set new domain description"),
            (Said::Updated, true) => tr!("Domain title updated successfully"),
            (Said::Updated, false) => tr!("Domain description updated successfully"),
        }
    }
}
