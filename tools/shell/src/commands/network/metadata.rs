//! `net-metadata`: show or change custom XML in the metadata of a network.

use oxivirt::{ListFlags, Network};

use super::{CONFIG, CURRENT, LIVE, network_option};
use crate::command::CommandDef;
use crate::commands::notes::{EDIT_ELEMENT, KEY, REMOVE, SET, URI, annotate};
use crate::i18n::mark;

pub(crate) const COMMAND: CommandDef = CommandDef::new(
    "net-metadata",
    mark!("show or change custom XML"),
    annotate::<Network>,
)
.about(mark!(
    "Shows or changes the custom XML that an application keeps in the metadata of a network."
))
.options(&[
    network_option(ListFlags::NONE),
    URI,
    LIVE,
    CONFIG,
    CURRENT,
    EDIT_ELEMENT,
    KEY,
    SET,
    REMOVE,
]);
