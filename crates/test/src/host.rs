//! The host of the in-memory driver: two sockets of eight processors, of which three run.
//!
//! libvirt 11.3.0: `testOpenDefault`, `testBuildCapabilities`, src/test/test_driver.c

use oxivirt::{CpuStats, DomainCapabilitiesQuery};
use oxivirt_xml::Writer;

/// Processors that are there, and whether each runs.
pub(crate) const ONLINE: [bool; 8] = [true, false, true, false, true, false, false, false];

/// Bytes.
pub(crate) const FREE_MEMORY: u64 = 3_145_728;

/// Bytes in each NUMA cell.
pub(crate) const CELLS_FREE: [u64; 2] = [2_097_152, 4_194_304];

/// KiB in each NUMA cell, and the size of its small pages.
const CELLS: [(u64, u64); 2] = [(2_097_152, 4), (4_194_304, 8)];

const CPUS_PER_CELL: usize = 8;

/// What the firmware says.
pub(crate) const SYSINFO: &str = "<sysinfo type='smbios'>\n  <bios>\n    <entry name='vendor'>LENOVO</entry>\n    \
    <entry name='version'>G4ETA1WW (2.61 )</entry>\n    <entry name='date'>05/07/2014</entry>\n    \
    <entry name='release'>2.61</entry>\n  </bios>\n</sysinfo>\n";

/// What its processors have spent their time with.
pub(crate) const CPU_STATS: CpuStats = CpuStats {
    kernel: 34_678_723_400_000,
    user: 9_797_400_000,
    idle: 87_264_900_000,
    iowait: 763_600_000,
};

/// What guests can have on the host: nothing, whatever they are asked for.
pub(crate) fn domain_capabilities(query: &DomainCapabilitiesQuery<'_>) -> String {
    let mut out = Writer::new();
    out.begin("domainCapabilities").open();
    if let Some(emulator) = query.emulator {
        out.text("path", emulator);
    }
    out.text("domain", query.virt_type.unwrap_or("test"));
    if let Some(machine) = query.machine {
        out.text("machine", machine);
    }
    out.text("arch", query.arch.unwrap_or("i686"));
    out.begin("cpu").open();
    for mode in ["host-passthrough", "maximum", "host-model", "custom"] {
        out.begin("mode").attr("name", mode).attr("supported", "no").empty();
    }
    out.end("cpu");
    out.begin("devices").open();
    out.end("devices");
    out.begin("features").open();
    out.begin("sev").attr("supported", "no").empty();
    out.begin("sgx").attr("supported", "no").empty();
    out.end("features");
    out.end("domainCapabilities");
    out.finish()
}

/// What the host can do.
pub(crate) fn capabilities() -> String {
    let mut out = Writer::new();
    out.begin("capabilities").open();
    out.begin("host").open();
    cpu(&mut out);
    out.begin("power_management").empty();
    out.begin("iommu").attr("support", "no").empty();
    topology(&mut out);
    out.begin("secmodel").open();
    out.text("model", "testSecurity");
    out.text("doi", "");
    out.end("secmodel");
    out.end("host");
    for kind in ["hvm", "xen"] {
        guest(&mut out, kind);
    }
    out.end("capabilities");
    // parts stand between empty lines
    let text = out.finish();
    let text = text.replacen("<capabilities>\n", "<capabilities>\n\n", 1);
    text.replace("  </host>\n", "  </host>\n\n").replace("  </guest>\n", "  </guest>\n\n")
}

fn cpu(out: &mut Writer) {
    out.begin("cpu").open();
    out.text("arch", "i686");
    features(out);
    for size in ["4", "8", "2048", "1048576"] {
        out.begin("pages").attr("unit", "KiB").attr("size", size).empty();
    }
    out.end("cpu");
}

fn features(out: &mut Writer) {
    out.begin("features").open();
    out.begin("pae").empty();
    out.begin("nonpae").empty();
    out.end("features");
}

fn topology(out: &mut Writer) {
    out.begin("topology").open();
    out.begin("cells").display("num", CELLS.len()).open();
    for (id, (memory, page)) in CELLS.into_iter().enumerate() {
        out.begin("cell").display("id", id).open();
        out.raw_line(&format!("<memory unit='KiB'>{memory}</memory>"));
        for (size, count) in [(page, memory / page), (2048, 0), (1_048_576, 0)] {
            out.raw_line(&format!("<pages unit='KiB' size='{size}'>{count}</pages>"));
        }
        out.begin("cpus").display("num", CPUS_PER_CELL).open();
        for core in 0..CPUS_PER_CELL {
            let cpu = id * CPUS_PER_CELL + core;
            out.begin("cpu")
                .display("id", cpu)
                .display("socket_id", id)
                .attr("die_id", "0")
                .attr("cluster_id", "0")
                .display("core_id", core)
                .display("siblings", cpu)
                .empty();
        }
        out.end("cpus");
        out.end("cell");
    }
    out.end("cells");
    out.end("topology");
}

fn guest(out: &mut Writer, kind: &str) {
    out.begin("guest").open();
    out.text("os_type", kind);
    out.begin("arch").attr("name", "i686").open();
    out.text("wordsize", "32");
    out.text("emulator", "/usr/bin/test-hv");
    out.begin("domain").attr("type", "test").empty();
    out.end("arch");
    features(out);
    out.end("guest");
}

#[cfg(test)]
mod tests {
    #[test]
    fn capabilities_are_a_document() {
        let text = super::capabilities();
        let root = oxivirt_xml::parse(&text, oxivirt_xml::Blanks::Drop).unwrap();
        assert_eq!(root.children("guest").count(), 2);
        assert!(text.starts_with("<capabilities>\n\n  <host>\n"), "{text}");
        assert!(text.contains("  </host>\n\n  <guest>\n"), "{text}");
        assert!(text.contains("<pages unit='KiB' size='8'>524288</pages>"), "{text}");
    }
}
