//! Finds the CPU that two hosts have in common, and compares it with one of them.
//!
//! `cargo run -p oxivirt-cpu --example baseline [DIR]`, where `DIR` holds a CPU map such as
//! `/usr/share/libvirt/cpu_map`; a small map is built in.
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;
use std::io;
use std::path::Path;

use oxivirt_cpu::{CpuData, CpuMap, Decode};

/// A map with two features and two models.
fn built_in(name: &str) -> io::Result<String> {
    let text = match name {
        "index.xml" => {
            "<cpus><arch name='x86'><include filename='features.xml'/>
               <include filename='models.xml'/></arch></cpus>"
        }
        "features.xml" => {
            "<cpus><feature name='sse2'><cpuid eax_in='1' edx='0x04000000'/></feature>
               <feature name='avx'><cpuid eax_in='1' ecx='0x10000000'/></feature></cpus>"
        }
        "models.xml" => {
            "<cpus><model name='small'><decode host='on' guest='on'/><feature name='sse2'/></model>
               <model name='large'><decode host='on' guest='on'/><model name='small'/>
                 <feature name='avx'/></model></cpus>"
        }
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok(text.to_owned())
}

fn main() -> Result<(), Box<dyn Error>> {
    let map = match std::env::args().nth(1) {
        Some(directory) => {
            CpuMap::load(|name| std::fs::read_to_string(Path::new(&directory).join(name)))?
        }
        None => CpuMap::load(built_in)?,
    };
    let (mut old, mut new) = (CpuData::default(), CpuData::default());
    map.add_feature(&mut old, "sse2");
    map.add_feature(&mut new, "sse2");
    map.add_feature(&mut new, "avx");

    let common = map.baseline(&[old, new.clone()], &Decode::default());
    let common = common.ok_or("no model describes both hosts")?;
    println!("baseline: {}", common.model);
    for feature in &common.features {
        println!("  {:?} {}", feature.policy, feature.name);
    }
    println!("on the newer host: {:?}", map.compare(&new, &common));
    Ok(())
}
