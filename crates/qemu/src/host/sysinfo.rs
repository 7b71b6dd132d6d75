//! `<sysinfo type='smbios'>`: the host's firmware tables as the kernel shows them.

use std::path::Path;

use oxivirt_xml::Writer;

use super::procfs::line;

/// Element, and its entries with the kernel's file of each.
type Block = (&'static str, &'static [(&'static str, &'static str)]);

const BIOS: Block = (
    "bios",
    &[
        ("vendor", "bios_vendor"),
        ("version", "bios_version"),
        ("date", "bios_date"),
        ("release", "bios_release"),
    ],
);

const SYSTEM: Block = (
    "system",
    &[
        ("manufacturer", "sys_vendor"),
        ("product", "product_name"),
        ("version", "product_version"),
        ("serial", "product_serial"),
        ("uuid", "product_uuid"),
        ("sku", "product_sku"),
        ("family", "product_family"),
    ],
);

const BASE_BOARD: Block = (
    "baseBoard",
    &[
        ("manufacturer", "board_vendor"),
        ("product", "board_name"),
        ("version", "board_version"),
        ("serial", "board_serial"),
        ("asset", "board_asset_tag"),
    ],
);

const CHASSIS: Block = (
    "chassis",
    &[
        ("manufacturer", "chassis_vendor"),
        ("version", "chassis_version"),
        ("serial", "chassis_serial"),
        ("asset", "chassis_asset_tag"),
    ],
);

/// The document; nothing if the host has no such tables.
///
/// libvirt 11.3.0: `virSysinfoFormat`, src/util/virsysinfo.c
pub(super) fn document(root: &Path) -> Option<String> {
    let dir = root.join("sys/class/dmi/id");
    if !dir.is_dir() {
        return None;
    }
    let mut out = Writer::new();
    out.begin("sysinfo").attr("type", "smbios").open();
    for (block, entries) in [BIOS, SYSTEM, BASE_BOARD, CHASSIS] {
        let found: Vec<(&str, String)> = entries
            .iter()
            .filter_map(|(name, file)| {
                let value = line(&dir.join(file))?.trim().to_owned();
                (!value.is_empty()).then_some((*name, value))
            })
            .collect();
        if found.is_empty() {
            continue;
        }
        out.begin(block).open();
        for (name, value) in &found {
            out.begin("entry").attr("name", name).text("entry", value);
        }
        out.end(block);
    }
    out.end("sysinfo");
    Some(out.finish())
}
