//! Prints what the header of a disk image says.
//!
//! `cargo run -p oxivirt-image --example header [FILE]`; without a file, of an overlay made in memory.
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;
use std::fs::File;

use oxivirt_image::{Image, inspect, probe};

/// The header of a qcow2 image of version 2 over `base.raw`, 1 GiB large.
fn overlay() -> Vec<u8> {
    const NAME: &[u8] = b"base.raw";
    let mut header = Vec::from(*b"QFI\xfb");
    header.extend(2_u32.to_be_bytes());
    header.extend(72_u64.to_be_bytes()); // where the name of the backing file is
    header.extend(u32::try_from(NAME.len()).unwrap_or_default().to_be_bytes());
    header.extend(16_u32.to_be_bytes()); // clusters of 2^16 bytes
    header.extend((1_u64 << 30).to_be_bytes());
    header.resize(72, 0);
    header.extend(NAME);
    header.resize(512, 0);
    header
}

fn main() -> Result<(), Box<dyn Error>> {
    let image: Image = match std::env::args().nth(1) {
        Some(path) => {
            let file = File::open(path)?;
            // Right for a listing of a pool; a guest's disk has the format that its definition names.
            inspect(&file, probe(&file)?)?
        }
        None => {
            let header = overlay();
            inspect(&header[..], probe(&header[..])?)?
        }
    };
    println!("format: {}", image.format);
    if let Some(size) = image.virtual_size {
        println!("virtual size: {size} bytes");
    }
    if let Some(backing) = image.backing {
        println!("backing file: {} (format: {:?})", backing.text, backing.format);
    }
    Ok(())
}
