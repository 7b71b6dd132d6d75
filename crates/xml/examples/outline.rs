//! Reads a document, prints its elements, and writes one in libvirt's layout.
//!
//! `cargo run -p oxivirt-xml --example outline [FILE]`
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;

use oxivirt_xml::{self as xml, Blanks, Element, Writer};

const NETWORK: &str = "<network><name>lab &amp; test</name>
  <ip address='10.0.0.1' prefix='24'/><ip family='ipv6' address='fd00::1' prefix='64'/></network>";

fn outline(element: &Element<'_>, depth: usize) {
    let attributes: Vec<String> =
        element.attributes.iter().map(|one| format!("{}={}", one.name, one.value)).collect();
    println!("{:depth$}{} {}", "", element.name, attributes.join(" "));
    for child in element.elements() {
        outline(child, depth + 2);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(path)?,
        None => NETWORK.to_owned(),
    };
    let root = xml::parse(&text, Blanks::Drop)?;
    outline(&root, 0);

    let mut out = Writer::new();
    let body = out.begin("network").open();
    body.text("name", "renamed <&>");
    for ip in root.children("ip") {
        body.begin("ip").attr_opt("address", ip.attribute("address")).empty();
    }
    body.end("network");
    print!("{}", out.finish());

    // Errors have the position and the words of libxml2.
    if let Err(error) = xml::parse("<network><name>lab</network>", Blanks::Drop) {
        println!("{error}");
    }
    Ok(())
}
