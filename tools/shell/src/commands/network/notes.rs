//! What users note in a network.

use oxivirt::{ErrorCode, MetadataChange, MetadataType, Network, UpdateFlags};

use crate::args::Args;
use crate::commands::notes::{Noted, Said};
use crate::failure::Failure;
use crate::i18n::tr;
use crate::shell::Shell;

impl Noted for Network {
    type Scope = UpdateFlags;

    const MISSING: ErrorCode = ErrorCode::NO_NETWORK_METADATA;
    const READS_FIRST: bool = true;

    fn find(shell: &mut Shell, args: &Args) -> Result<Self, Failure> {
        shell.network(args)
    }

    fn scope(args: &Args) -> Result<UpdateFlags, Failure> {
        super::scope(args)
    }

    fn readable(scope: UpdateFlags) -> UpdateFlags {
        if scope.contains(UpdateFlags::LIVE | UpdateFlags::CONFIG) {
            UpdateFlags::CONFIG
        } else {
            scope
        }
    }

    async fn read(
        &self,
        kind: MetadataType,
        uri: Option<&str>,
        scope: UpdateFlags,
    ) -> oxivirt::Result<String> {
        self.metadata(kind, uri, scope).await
    }

    async fn write(&self, change: &MetadataChange<UpdateFlags>) -> oxivirt::Result<()> {
        self.set_metadata(change).await
    }

    fn line(&self, said: Said, kind: MetadataType) -> String {
        let name = self.name();
        match (said, kind == MetadataType::Title) {
            (Said::Missing, true) => tr!("No title for network: {name}", name = name),
            (Said::Missing, false) => tr!("No description for network: {name}", name = name),
            (Said::Unchanged, true) => tr!("Network title not changed\n"),
            (Said::Unchanged, false) => tr!("Network description not changed\n"),
            (Said::Refused, true) => tr!("Failed to set new network title"),
            (Said::Refused, false) => tr!("Failed to set new network description"),
            (Said::Updated, true) => tr!("Network title updated successfully"),
            (Said::Updated, false) => tr!("Network description updated successfully"),
        }
    }
}
