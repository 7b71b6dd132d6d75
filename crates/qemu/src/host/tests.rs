use oxivirt_conf::emulator::Machine;
use oxivirt_sys::file::{Durability, create_dir, replace};

use super::*;

/// The emulator at one path.
#[derive(Debug)]
struct OneEmulator(Arc<EmulatorCapabilities>);

#[async_trait]
impl Emulators for OneEmulator {
    fn program(&self, arch: &str) -> Option<PathBuf> {
        (arch == "x86_64").then(|| PathBuf::from("/qemu"))
    }

    async fn capabilities(&self, program: &Path) -> Result<Arc<EmulatorCapabilities>> {
        if program != Path::new("/qemu") {
            let what = format!("Cannot check QEMU binary {}", program.display());
            return Err(Error::system(ErrorDomain::QEMU, 2, what));
        }
        Ok(Arc::clone(&self.0))
    }
}

fn emulator() -> EmulatorCapabilities {
    let machine = |virt_type| Machine {
        alias: Some(String::from("pc")),
        max_cpus: 255,
        ..Machine::new(virt_type, "pc-i440fx-10.0")
    };
    EmulatorCapabilities {
        emulator: String::from("/qemu"),
        arch: String::from("x86_64"),
        flags: ["kvm", "tcg"].map(str::to_owned).into(),
        machines: vec![machine(VirtType::Kvm), machine(VirtType::Qemu)],
        ..EmulatorCapabilities::default()
    }
}

const CPUINFO: &str = "processor : 0\nvendor_id : GenuineIntel\ncpu family : 6\nmodel : 207\n\
    stepping : 2\nmicrocode : 0x1f\ncpu MHz : 2100.9\naddress sizes : 46 bits physical, 57 bits virtual\n";

/// Two cells with a socket of one core of two threads each; the last processor is offline.
struct Fixture {
    root: tempfile::TempDir,
    host: Host,
}

impl Fixture {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = root.path().join(name);
            create_dir(path.parent().unwrap()).unwrap();
            replace(&path, text.as_bytes(), 0o644, Durability::Regenerated).unwrap();
        };
        put("proc/cpuinfo", CPUINFO);
        put("proc/meminfo", "MemTotal: 4000 kB\nMemFree: 1500 kB\nBuffers: 7 kB\nCached: 9 kB\n");
        put("proc/stat", "cpu 10 20 30 40 50 60 70 0 0 0\ncpu0 1 0 2 3 4 0 0 0 0 0\n");
        put("etc/machine-id", "6ab04291cb2d41c798b033046291b944\n");
        let system = "sys/devices/system";
        put(&format!("{system}/cpu/present"), "0-4\n");
        put(&format!("{system}/cpu/online"), "0-3\n");
        for cpu in 0..4 {
            let topology = format!("{system}/cpu/cpu{cpu}/topology");
            let cell = cpu / 2;
            put(&format!("{topology}/physical_package_id"), &format!("{cell}\n"));
            put(&format!("{topology}/die_id"), "0\n");
            put(&format!("{topology}/cluster_id"), "65535\n");
            put(&format!("{topology}/core_id"), "0\n");
            put(
                &format!("{topology}/thread_siblings_list"),
                &format!("{}-{}\n", 2 * cell, 2 * cell + 1),
            );
            let cache = format!("{system}/cpu/cpu{cpu}/cache");
            for (index, level, size, kind) in
                [(0, 1, "48K", "Data"), (2, 2, "2048K", "Unified"), (3, 3, "1000K", "Unified")]
            {
                let dir = format!("{cache}/index{index}");
                put(&format!("{dir}/level"), &format!("{level}\n"));
                put(&format!("{dir}/type"), &format!("{kind}\n"));
                put(&format!("{dir}/id"), &format!("{cell}\n"));
                put(&format!("{dir}/size"), &format!("{size}\n"));
                put(&format!("{dir}/shared_cpu_list"), &format!("{}-{}\n", 2 * cell, 2 * cell + 1));
            }
        }
        for cell in 0..2 {
            let node = format!("{system}/node/node{cell}");
            put(
                &format!("{node}/meminfo"),
                &format!("Node {cell} MemTotal: 3048 kB\nNode {cell} MemFree: {} kB\n", 100 + cell),
            );
            put(&format!("{node}/distance"), "10 20\n");
            put(&format!("{node}/cpulist"), if cell == 0 { "0-1\n" } else { "2-4\n" });
            put(&format!("{node}/hugepages/hugepages-1024kB/nr_hugepages"), "1\n");
            put(&format!("{node}/hugepages/hugepages-1024kB/free_hugepages"), "1\n");
        }
        let options = HostOptions {
            root: root.path().to_owned(),
            emulators: Arc::new(OneEmulator(Arc::new(emulator()))),
            dac: Some((64055, 64055)),
        };
        Self { host: Host::new(options), root }
    }
}

#[tokio::test]
async fn numbers_are_those_of_the_files() {
    let fixture = Fixture::new();
    let host = &fixture.host;
    let info = host.node_info().await.unwrap();
    assert_eq!(
        info,
        NodeInfo {
            model: std::env::consts::ARCH.to_owned(),
            memory_kib: 4000,
            cpus: 4,
            mhz: 2100,
            nodes: 2,
            sockets: 1,
            cores: 1,
            threads: 2,
        }
    );
    assert_eq!(host.cpu_map().await.unwrap().online, [true, true, true, true, false]);
    assert_eq!(host.free_memory().await.unwrap(), 1500 * 1024);
    assert_eq!(host.cells_free_memory(0, 8).await.unwrap(), [100 * 1024, 101 * 1024]);
    assert_eq!(host.cells_free_memory(1, 1).await.unwrap(), [101 * 1024]);
    host.cells_free_memory(2, 1).await.unwrap_err();
    host.cells_free_memory(-1, 1).await.unwrap_err();
    assert_eq!(host.free_pages(&[4, 1024], 1, 1).await.unwrap(), [25, 1]);
    host.free_pages(&[2048], 0, 1).await.unwrap_err();
    let memory = host.memory_stats(None).await.unwrap();
    let names: Vec<&str> = memory.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["total", "free", "buffers", "cached"]);
    let cell = host.memory_stats(Some(1)).await.unwrap();
    assert_eq!(cell, [(String::from("total"), 3048), (String::from("free"), 101)]);
    host.memory_stats(Some(7)).await.unwrap_err();
    assert_eq!(host.cpu_stats(Some(0)).await.unwrap().idle, 30_000_000);
    host.cpu_stats(Some(9)).await.unwrap_err();
    assert_eq!(host.max_vcpus(Some("KVM")).await.unwrap(), 1024);
    assert_eq!(host.max_vcpus(None).await.unwrap(), 16);
    let error = host.max_vcpus(Some("xen")).await.unwrap_err();
    assert_eq!((error.code(), error.domain()), (ErrorCode::INVALID_ARG, ErrorDomain::QEMU));
    let error = host.sysinfo().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CONFIG_UNSUPPORTED);
    assert_eq!(host.cpu_model_names("x86_64").await.unwrap(), Vec::<String>::new());
    host.cpu_model_names("vax").await.unwrap_err();
}

/// What follows the topology in the document.
const AFTER_TOPOLOGY: &str = "    <secmodel>
      <model>none</model>
      <doi>0</doi>
    </secmodel>
    <secmodel>
      <model>dac</model>
      <doi>0</doi>
      <baselabel type='kvm'>+64055:+64055</baselabel>
      <baselabel type='qemu'>+64055:+64055</baselabel>
    </secmodel>
  </host>

  <guest>
    <os_type>hvm</os_type>
    <arch name='x86_64'>
      <wordsize>64</wordsize>
      <emulator>/qemu</emulator>
      <machine maxCpus='255'>pc-i440fx-10.0</machine>
      <machine canonical='pc-i440fx-10.0' maxCpus='255'>pc</machine>
      <domain type='qemu'/>
      <domain type='kvm'/>
    </arch>
    <features>
      <acpi default='on' toggle='yes'/>
      <apic default='on' toggle='no'/>
      <cpuselection/>
      <deviceboot/>
      <disksnapshot default='on' toggle='no'/>
      <externalSnapshot/>
    </features>
  </guest>

</capabilities>
";

#[tokio::test]
async fn the_document_describes_host_and_guests() {
    let fixture = Fixture::new();
    let document = fixture.host.capabilities().await.unwrap();
    let arch = std::env::consts::ARCH;
    let cpus = |first: u32| {
        (first..first + 2)
            .map(|id| {
                let (socket, last) = (first / 2, first + 1);
                format!(
                    "            <cpu id='{id}' socket_id='{socket}' die_id='0' cluster_id='65535' \
                     core_id='0' siblings='{first}-{last}'/>\n"
                )
            })
            .collect::<String>()
    };
    let cell = |id: u32| {
        format!(
            "        <cell id='{id}'>
          <memory unit='KiB'>3048</memory>
          <pages unit='KiB' size='4'>506</pages>
          <pages unit='KiB' size='1024'>1</pages>
          <distances>
            <sibling id='0' value='10'/>
            <sibling id='1' value='20'/>
          </distances>
          <cpus num='2'>
{}          </cpus>
        </cell>
",
            cpus(2 * id)
        )
    };
    let expected = format!(
        "<capabilities>

  <host>
    <uuid>6ab04291-cb2d-41c7-98b0-33046291b944</uuid>
    <cpu>
      <arch>{arch}</arch>
      <microcode version='31'/>
      <signature family='6' model='207' stepping='2'/>
      <topology sockets='1' dies='1' clusters='1' cores='1' threads='2'/>
      <maxphysaddr mode='emulate' bits='46'/>
      <pages unit='KiB' size='4'/>
      <pages unit='KiB' size='1024'/>
    </cpu>
    <power_management/>
    <iommu support='no'/>
    <migration_features>
      <live/>
      <uri_transports>
        <uri_transport>tcp</uri_transport>
        <uri_transport>rdma</uri_transport>
      </uri_transports>
    </migration_features>
    <topology>
      <cells num='2'>
{}{}      </cells>
    </topology>
    <cache>
      <bank id='0' level='2' type='both' size='2' unit='MiB' cpus='0-1'/>
      <bank id='1' level='2' type='both' size='2' unit='MiB' cpus='2-3'/>
      <bank id='0' level='3' type='both' size='1000' unit='KiB' cpus='0-1'/>
      <bank id='1' level='3' type='both' size='1000' unit='KiB' cpus='2-3'/>
    </cache>
{}",
        cell(0),
        cell(1),
        AFTER_TOPOLOGY
    );
    assert_eq!(document, expected);
}

#[tokio::test]
async fn what_is_not_asked_for_is_chosen() {
    let fixture = Fixture::new();
    let ask = |query: DomainCapabilitiesQuery<'static>| {
        let host = &fixture.host;
        async move { host.domain_capabilities(&query).await }
    };
    let query = DomainCapabilitiesQuery { arch: Some("x86_64"), ..Default::default() };
    let document = ask(query).await.unwrap();
    assert!(document.contains("<domain>kvm</domain>\n  <machine>pc-i440fx-10.0</machine>"));
    assert!(document.contains("<vcpu max='255'/>"), "{document}");
    assert!(document.contains("<tpm supported='no'/>"));
    let tcg = DomainCapabilitiesQuery { virt_type: Some("qemu"), machine: Some("pc"), ..query };
    assert!(ask(tcg).await.unwrap().contains("<domain>qemu</domain>"));
    assert_eq!(ask(query).await.unwrap(), document);

    let failures = [
        (DomainCapabilitiesQuery { arch: Some("vax"), ..query }, "unknown architecture: vax"),
        (DomainCapabilitiesQuery { virt_type: Some("zen"), ..query }, "unknown virttype: zen"),
        (
            DomainCapabilitiesQuery { machine: Some("foo"), ..query },
            "the machine 'foo' is not supported by emulator '/qemu'",
        ),
        (
            DomainCapabilitiesQuery { arch: Some("s390x"), emulator: Some("/qemu"), ..query },
            "architecture from emulator 'x86_64' doesn't match given architecture 's390x'",
        ),
    ];
    for (query, text) in failures {
        let error = ask(query).await.unwrap_err();
        assert_eq!((error.code(), error.domain()), (ErrorCode::INVALID_ARG, ErrorDomain::QEMU));
        assert!(error.message().ends_with(text), "{}", error.message());
    }
    let missing = DomainCapabilitiesQuery { emulator: Some("/nonexistent"), ..query };
    assert_eq!(ask(missing).await.unwrap_err().code(), ErrorCode::SYSTEM_ERROR);
}

#[tokio::test]
async fn installed_firmware_is_offered() {
    let fixture = Fixture::new();
    let put = |dir: &str, name: &str, text: &str| {
        let dir = fixture.root.path().join(dir);
        create_dir(&dir).unwrap();
        replace(&dir.join(name), text.as_bytes(), 0o644, Durability::Regenerated).unwrap();
    };
    let descriptor = |interface: &str, machines: &str, mapping: &str| {
        format!(
            r#"{{"interface-types": ["{interface}"], "features": [], "mapping": {mapping},
                "targets": [{{"architecture": "x86_64", "machines": ["{machines}"]}}]}}"#
        )
    };
    let memory = |path: &str| format!(r#"{{"device": "memory", "filename": "{path}"}}"#);
    let flash = r#"{"device": "flash", "executable": {"filename": "/efi.fd", "format": "raw"}}"#;
    let system = "usr/share/qemu/firmware";
    put(system, "30-bios.json", &descriptor("bios", "pc-i440fx-*", &memory("/bios.bin")));
    put(system, "50-hidden.json", &descriptor("bios", "pc-i440fx-*", &memory("/hidden.bin")));
    put(system, "60-efi.json", &descriptor("uefi", "pc-i440fx-*", flash));
    put(system, "70-other.json", &descriptor("uefi", "pc-q35-*", &memory("/other.fd")));
    put(system, "README", "nothing");
    put("etc/qemu/firmware", "50-hidden.json", "");
    let query = DomainCapabilitiesQuery { arch: Some("x86_64"), ..Default::default() };
    let document = fixture.host.domain_capabilities(&query).await.unwrap();
    let (_, rest) = document.split_once("<enum name='firmware'>").unwrap();
    let (kinds, rest) = rest.split_once("</enum>").unwrap();
    let (loaders, _) = rest.split_once("<enum").unwrap();
    assert!(kinds.contains("bios") && kinds.contains("efi"), "{kinds}");
    assert!(loaders.contains("/bios.bin") && loaders.contains("/efi.fd"), "{loaders}");
    assert!(!loaders.contains("hidden") && !loaders.contains("other"), "{loaders}");
}

#[tokio::test]
async fn firmware_tables_are_shown() {
    let fixture = Fixture::new();
    let dir = fixture.root.path().join("sys/class/dmi/id");
    create_dir(&dir).unwrap();
    for (name, text) in
        [("bios_vendor", "SeaBIOS\n"), ("product_name", "A & B\n"), ("product_sku", "\n")]
    {
        replace(&dir.join(name), text.as_bytes(), 0o644, Durability::Regenerated).unwrap();
    }
    assert_eq!(
        fixture.host.sysinfo().await.unwrap(),
        "<sysinfo type='smbios'>
  <bios>
    <entry name='vendor'>SeaBIOS</entry>
  </bios>
  <system>
    <entry name='product'>A &amp; B</entry>
  </system>
</sysinfo>
"
    );
}
