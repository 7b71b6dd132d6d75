//! `desc`: show or change a domain's description or title.

use oxivirt::{Domain, DomainListFlags};

use super::{CONFIG, CURRENT, LIVE, domain_option};
use crate::command::CommandDef;
use crate::commands::notes::{EDIT_TEXT, NEW_DESC, TITLE, describe};
use crate::i18n::mark;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("desc", mark!("show or change title or description"), describe::<Domain>)
        .about(mark!(
            "Shows the description or title of a domain, or replaces it with the given words."
        ))
        .options(&[
            domain_option(DomainListFlags::empty()),
            LIVE,
            CONFIG,
            CURRENT,
            TITLE,
            EDIT_TEXT,
            NEW_DESC,
        ]);
