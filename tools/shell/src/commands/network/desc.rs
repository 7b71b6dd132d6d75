//! `net-desc`: show or change a network's description or title.

use oxivirt::{ListFlags, Network};

use super::{CONFIG, CURRENT, LIVE, network_option};
use crate::command::CommandDef;
use crate::commands::notes::{EDIT_TEXT, NEW_DESC, TITLE, describe};
use crate::i18n::mark;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-desc", mark!("show or change title or description"), describe::<Network>)
        .about(mark!(
            "Shows the description or title of a network, or replaces it with the given words."
        ))
        .options(&[
            network_option(ListFlags::NONE),
            LIVE,
            CONFIG,
            CURRENT,
            TITLE,
            EDIT_TEXT,
            NEW_DESC,
        ]);
