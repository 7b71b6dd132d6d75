//! `metadata`: show or change custom XML in the metadata of a domain.

use oxivirt::{Domain, DomainListFlags};

use super::{CONFIG, CURRENT, LIVE, domain_option};
use crate::command::CommandDef;
use crate::commands::notes::{EDIT_ELEMENT, KEY, REMOVE, SET, URI, annotate};
use crate::i18n::mark;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("metadata", mark!("show or change custom XML"), annotate::<Domain>)
        .about(mark!(
            "Shows or changes the custom XML that an application keeps in the metadata of a domain."
        ))
        .options(&[
            domain_option(DomainListFlags::empty()),
            URI,
            LIVE,
            CONFIG,
            CURRENT,
            EDIT_ELEMENT,
            KEY,
            SET,
            REMOVE,
        ]);
