//! Host models of recorded hosts, as libvirt's domain capabilities show them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

use std::collections::BTreeMap;
use std::path::Path;

use oxivirt_cpu::{CpuData, CpuMap, Decode, KnownModel, Policy, Purpose, Signature};
use serde::Deserialize;

/// Features of a processor without transactional memory and VMX, a line each. Those with a plus are the ones
/// that libvirt 11.3.0 lists beside the model, `Icelake-Server-v2`, in the capabilities of its host.
const WITHOUT_VMX: &str = include_str!("data/host-6-207-2.txt");

#[derive(Deserialize)]
struct QemuCaps {
    #[serde(default, rename = "hostCPU")]
    hosts: Vec<HostCpu>,
    #[serde(default, rename = "cpu")]
    cpus: Vec<Cpu>,
}

#[derive(Deserialize)]
struct HostCpu {
    #[serde(rename = "@type")]
    accelerator: String,
    #[serde(default, rename = "property")]
    properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Property {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@value")]
    value: String,
}

#[derive(Deserialize)]
struct Cpu {
    #[serde(rename = "@type")]
    accelerator: String,
    #[serde(rename = "@name")]
    name: String,
    #[serde(default, rename = "blocker")]
    blockers: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "@name")]
    name: String,
}

fn host_model(map: &CpuMap, caps: &Path, accelerator: &str) -> Vec<String> {
    let text = std::fs::read_to_string(caps).unwrap();
    let caps: QemuCaps = quick_xml::de::from_str(&text).unwrap();
    let host = caps.hosts.iter().find(|host| host.accelerator == accelerator).unwrap();
    let mut data = CpuData::default();
    for Property { name, value } in &host.properties {
        match (name.as_str(), value.as_str()) {
            (_, "true") => {
                map.add_feature(&mut data, name);
            }
            ("vendor", value) => data.vendor = Some(value.to_owned()),
            ("family", value) => data.signature.family = value.parse().unwrap(),
            ("model", value) => data.signature.model = value.parse().unwrap(),
            ("stepping", value) => data.signature.stepping = value.parse().unwrap(),
            _ => {}
        }
    }
    let of_accelerator = caps.cpus.iter().filter(|cpu| cpu.accelerator == accelerator);
    let models: BTreeMap<String, KnownModel> = of_accelerator
        .map(|cpu| {
            let blockers = cpu.blockers.iter();
            let names = blockers
                .map(|blocker| map.feature_name(&blocker.name).unwrap_or(&blocker.name).to_owned());
            (cpu.name.clone(), KnownModel { blockers: names.collect() })
        })
        .collect();
    let cpu = map.decode(&data, &Decode { models: Some(models), ..Decode::default() }).unwrap();
    let mut lines = vec![cpu.model, cpu.vendor.unwrap_or_default()];
    lines.extend(cpu.features.iter().map(|feature| {
        let policy = match feature.policy {
            Policy::Require => "require",
            Policy::Disable => "disable",
        };
        format!("{policy} {}", feature.name)
    }));
    lines
}

/// The host model of a domain capabilities document, in the same form.
fn expected(document: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(document).unwrap();
    let (_, rest) = text.split_once("<mode name='host-model' supported='yes'>")?;
    let (mode, _) = rest.split_once("</mode>")?;
    let mut lines = vec![String::new(), String::new()];
    for line in mode.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("<model fallback='forbid'>") {
            lines[0] = rest.trim_end_matches("</model>").to_owned();
        } else if let Some(rest) = line.strip_prefix("<vendor>") {
            lines[1] = rest.trim_end_matches("</vendor>").to_owned();
        } else if let Some(rest) = line.strip_prefix("<feature policy='") {
            let (policy, name) = rest.split_once("' name='").unwrap();
            lines.push(format!("{policy} {}", name.trim_end_matches("'/>")));
        }
    }
    Some(lines)
}

#[test]
fn recorded_hosts_have_their_host_model() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/domain");
    if !shared.is_dir() {
        eprintln!("recorded_hosts_have_their_host_model: not run, ../shared/data is missing");
        return;
    }
    let map = shared.join("cpu-map");
    let map = CpuMap::load(|name| std::fs::read_to_string(map.join(name))).unwrap();
    let (mut good, mut bad) = (0, Vec::new());
    let rows = std::fs::read_to_string(shared.join("domaincaps/cases.toml")).unwrap();
    for row in rows.split("[[domaincaps]]").skip(1) {
        let value = |key: &str| {
            let line = row.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
            line.split('"').nth(1).unwrap().to_owned()
        };
        if value("arch") != "x86_64" || row.contains("hvf") {
            continue;
        }
        let Some(want) = expected(&shared.join("domaincaps").join(value("out"))) else { continue };
        let accelerator = if value("virt_type") == "kvm" { "kvm" } else { "tcg" };
        let got = host_model(&map, &shared.join("domaincaps").join(value("caps")), accelerator);
        if got == want {
            good += 1;
        } else {
            let missing: Vec<_> = want.iter().filter(|line| !got.contains(line)).collect();
            let extra: Vec<_> = got.iter().filter(|line| !want.contains(line)).collect();
            bad.push(format!("{}: missing {missing:?}, extra {extra:?}", value("name")));
        }
    }
    assert!(bad.is_empty(), "{good} good\n{}", bad.join("\n"));
}

#[test]
fn a_host_without_vmx_has_the_model_of_its_other_features() {
    let map = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/domain/cpu-map");
    if !map.is_dir() {
        eprintln!("a_host_without_vmx: not run, ../shared/data is missing");
        return;
    }
    let map = CpuMap::load(|name| std::fs::read_to_string(map.join(name))).unwrap();
    let mut data = CpuData::default();
    data.vendor = Some("GenuineIntel".to_owned());
    data.signature = Signature { family: 6, model: 207, stepping: 2 };
    for line in WITHOUT_VMX.lines() {
        assert!(map.add_feature(&mut data, &line[1..]), "{line}");
    }
    let host = Decode { purpose: Purpose::Host, ..Decode::default() };
    let cpu = map.decode(&data, &host).unwrap();
    assert_eq!((cpu.model.as_str(), cpu.vendor.as_deref()), ("Icelake-Server-v2", Some("Intel")));
    let mut listed: Vec<&str> = cpu.features.iter().map(|one| one.name.as_str()).collect();
    let mut expected: Vec<&str> =
        WITHOUT_VMX.lines().filter_map(|line| line.strip_prefix('+')).collect();
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
}
