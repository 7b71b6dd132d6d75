//! Runs rows about the block nodes of a disk.

use oxivirt_conf::domain::DomainDef;
use oxivirt_qemu::command::{Layer, NodeNames, disk_nodes};
use oxivirt_xml::{Blanks, Element};
use serde_json::Value;

use super::cases::Case;

/// Runs the row: every layer's format and storage node, then the storage alone.
///
/// # Errors
/// What is different, for people.
pub(super) fn run(case: &Case) -> Result<(), String> {
    let text = case.text(case.input.as_ref())?;
    let text = format!("<domain type='kvm'><name>g</name><devices>{text}</devices></domain>");
    let def = DomainDef::parse(&text).map_err(|error| error.to_string())?;
    let root = oxivirt_xml::parse(&text, Blanks::Drop).map_err(|error| error.to_string())?;
    let element = root.child("devices").and_then(|devices| devices.child("disk"));
    let names = names_of(element.ok_or("a row without disk")?);
    let disk = def.devices.as_ref().and_then(|devices| devices.disks.first());
    let layers = disk_nodes(disk.ok_or("a row without disk")?, &names);
    if case.expect == "failure" {
        return layers.err().map(|_| ()).ok_or_else(|| String::from("planned, expected an error"));
    }
    let layers = layers.map_err(|error| error.to_string())?;
    let expected = documents(&case.text(case.out.as_ref())?)?;
    let found: Vec<Value> = layers.iter().flat_map(nodes).collect();
    if found != expected {
        let mut pairs = found.iter().zip(&expected);
        let (found, expected) = pairs.find(|(found, expected)| found != expected).unzip();
        return Err(format!("node: {found:?} | {expected:?}"));
    }
    sources(&layers, &case.text(case.out_source_only.as_ref())?)
}

fn nodes(layer: &Layer) -> Vec<Value> {
    let format = layer.format.iter().cloned();
    format.chain([layer.storage.clone()]).map(|props| props.into_value()).collect()
}

/// The names that the document of a running guest has, from the top of the chain.
fn names_of(disk: &Element<'_>) -> Vec<NodeNames> {
    let mut names = Vec::new();
    let mut level = Some(disk);
    while let Some(element) = level {
        let private = element.child("source").and_then(|source| source.child("privateData"));
        let Some(list) = private.and_then(|private| private.child("nodenames")) else { break };
        let name = |kind: &str| {
            let mut nodes = list.children("nodename");
            let node = nodes.find(|node| node.attribute("type") == Some(kind));
            node.and_then(|node| node.attribute("name")).map(str::to_owned)
        };
        names.push(NodeNames {
            storage: name("storage").unwrap_or_default(),
            format: name("format"),
        });
        level = element.child("backingStore");
    }
    names
}

/// JSON documents one after the other.
fn documents(text: &str) -> Result<Vec<Value>, String> {
    let read = serde_json::Deserializer::from_str(text).into_iter();
    read.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// `( source only properties: JSON backing store string: TEXT )`, layer by layer.
fn sources(layers: &[Layer], text: &str) -> Result<(), String> {
    let mut expected = text.split("source only properties:").skip(1);
    for layer in layers {
        let part = expected.next().ok_or("fewer layers than planned")?;
        let (json, string) = part.split_once("backing store string:").ok_or("no string")?;
        let string = string.trim().trim_end_matches(['(', ')']).trim();
        let string = string.trim_end_matches(['(', ')', '\n']).trim();
        let found = layer.source.clone().into_value();
        if documents(json)? != [found.clone()] || layer.backing_string != string {
            return Err(format!("source: {found} '{}' | {json} '{string}'", layer.backing_string));
        }
    }
    match expected.next() {
        Some(_) => Err(String::from("more layers than planned")),
        None => Ok(()),
    }
}
