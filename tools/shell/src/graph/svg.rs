//! Networks as an SVG picture: uplinks, networks and guests from left to right.
//!
//! The picture refers to no external file and is readable on light and dark backgrounds.

use std::collections::BTreeMap;

use crate::inventory::Node;
use crate::table::display_width;

/// Width of a character and height of a line of the monospace font, in pixels.
const CHARACTER: usize = 8;
const LINE: usize = 18;
const PADDING: usize = 10;
/// Vertical and horizontal space between boxes.
const GAP: usize = 14;
const ACROSS: usize = 70;
const MARGIN: usize = 20;

#[derive(Debug, Clone)]
struct Shape {
    class: &'static str,
    lines: Vec<String>,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl Shape {
    fn new(class: &'static str, lines: Vec<String>) -> Self {
        let columns = lines.iter().map(|line| display_width(line)).max().unwrap_or(0);
        let width = columns * CHARACTER + 2 * PADDING;
        let height = lines.len() * LINE + 2 * PADDING;
        Self { class, lines, x: 0, y: 0, width, height }
    }

    fn middle(&self) -> usize {
        self.y + self.height / 2
    }
}

/// The picture.
pub(crate) fn svg(nodes: &[Node]) -> String {
    let mut networks = Vec::new();
    let mut guests: Vec<Vec<Shape>> = Vec::new();
    let mut uplinks: BTreeMap<&str, Shape> = BTreeMap::new();
    let mut y = MARGIN;
    for node in nodes {
        let mut shape = network(node);
        let mut column: Vec<Shape> = node.guests.iter().map(guest).collect();
        let stacked =
            column.iter().map(|guest| guest.height + GAP).sum::<usize>().saturating_sub(GAP);
        let room = stacked.max(shape.height);
        shape.y = y + (room - shape.height) / 2;
        let mut next = y + (room - stacked) / 2;
        for guest in &mut column {
            guest.y = next;
            next += guest.height + GAP;
        }
        for uplink in &node.uplinks {
            let middle = shape.middle();
            uplinks.entry(uplink).or_insert_with(|| {
                let mut shape = Shape::new("uplink", vec![uplink.clone()]);
                shape.y = middle.saturating_sub(shape.height / 2);
                shape
            });
        }
        y += room + 2 * GAP;
        networks.push(shape);
        guests.push(column);
    }
    let height = spread(&mut uplinks).max(y) + MARGIN - 2 * GAP;
    let width_of = |shapes: &mut dyn Iterator<Item = &Shape>| shapes.map(|shape| shape.width).max();
    let uplinks_width = width_of(&mut uplinks.values());
    let networks_x = MARGIN + uplinks_width.map_or(0, |width| width + ACROSS);
    let networks_width = width_of(&mut networks.iter()).unwrap_or(0);
    let guests_x = networks_x + networks_width + ACROSS;
    let guests_width = width_of(&mut guests.iter().flatten()).unwrap_or(0);
    for shape in uplinks.values_mut() {
        (shape.x, shape.width) = (MARGIN, uplinks_width.unwrap_or(shape.width));
    }
    for shape in &mut networks {
        (shape.x, shape.width) = (networks_x, networks_width);
    }
    for shape in guests.iter_mut().flatten() {
        (shape.x, shape.width) = (guests_x, guests_width);
    }
    let width =
        if guests_width > 0 { guests_x + guests_width } else { networks_x + networks_width };
    let mut out = head(width + MARGIN, height);
    for ((node, shape), guests) in nodes.iter().zip(&networks).zip(&guests) {
        for uplink in node.uplinks.iter().filter_map(|uplink| uplinks.get(uplink.as_str())) {
            push_line(&mut out, uplink, shape);
        }
        for guest in guests {
            push_line(&mut out, shape, guest);
        }
    }
    for shape in uplinks.values().chain(&networks).chain(guests.iter().flatten()) {
        push_shape(&mut out, shape);
    }
    out.push_str("</svg>\n");
    out
}

/// Moves uplinks down until none overlap; returns the lower edge of the last one.
fn spread(uplinks: &mut BTreeMap<&str, Shape>) -> usize {
    let mut shapes: Vec<&mut Shape> = uplinks.values_mut().collect();
    shapes.sort_by_key(|shape| shape.y);
    let mut free = MARGIN;
    for shape in shapes {
        shape.y = shape.y.max(free);
        free = shape.y + shape.height + GAP;
    }
    free + GAP
}

fn network(node: &Node) -> Shape {
    let mut lines = vec![node.name.clone(), node.mode.clone()];
    lines.extend(node.bridge.clone());
    lines.extend(node.addresses.iter().cloned());
    Shape::new(if node.active { "network" } else { "network inactive" }, lines)
}

fn guest(guest: &crate::inventory::Guest) -> Shape {
    let mut lines = vec![guest.label()];
    lines.extend(guest.details().split("  ").filter(|line| !line.is_empty()).map(str::to_owned));
    Shape::new("guest", lines)
}

fn head(width: usize, height: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <style>\n\
         text {{ font: 13px ui-monospace, \"DejaVu Sans Mono\", monospace; fill: #1f2933; }}\n\
         .first {{ font-weight: bold; }}\n\
         rect {{ stroke: #52606d; stroke-width: 1.5; fill: #ffffff; }}\n\
         .network rect {{ fill: #d9eaf7; }}\n\
         .inactive rect {{ fill: #e4e7eb; stroke-dasharray: 4 3; }}\n\
         .uplink rect {{ fill: #fde8c8; }}\n\
         .guest rect {{ fill: #e3f4df; }}\n\
         path {{ stroke: #7b8794; stroke-width: 1.5; fill: none; }}\n\
         </style>\n"
    )
}

fn push_line(out: &mut String, from: &Shape, to: &Shape) {
    let (x1, y1, x2, y2) = (from.x + from.width, from.middle(), to.x, to.middle());
    let half = x1 + x2.saturating_sub(x1) / 2;
    out.push_str(&format!("<path d=\"M{x1} {y1} C{half} {y1} {half} {y2} {x2} {y2}\"/>\n"));
}

fn push_shape(out: &mut String, shape: &Shape) {
    let Shape { class, x, y, width, height, .. } = shape;
    out.push_str(&format!(
        "<g class=\"{class}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
    ));
    for (index, line) in shape.lines.iter().enumerate() {
        let class = if index == 0 { " class=\"first\"" } else { "" };
        let (x, y) = (x + PADDING, y + PADDING + index * LINE + LINE - 5);
        let mut text = String::new();
        oxivirt_xml::escape(&mut text, line);
        out.push_str(&format!("<text x=\"{x}\" y=\"{y}\"{class}>{text}</text>"));
    }
    out.push_str("</g>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxivirt_xml::{Blanks, parse};

    #[test]
    fn a_picture_is_a_document_in_which_nothing_overlaps() {
        let text = svg(&super::super::sample());
        let root = parse(&text, Blanks::Drop).unwrap();
        let rects: Vec<[usize; 4]> = root
            .elements()
            .filter_map(|group| group.elements().find(|shape| shape.name == "rect"))
            .map(|rect| {
                ["x", "y", "width", "height"]
                    .map(|key| rect.attribute(key).unwrap().parse().unwrap())
            })
            .collect();
        assert_eq!(rects.len(), 5);
        for (index, a) in rects.iter().enumerate() {
            for b in &rects[index + 1..] {
                let apart = a[0] + a[2] <= b[0]
                    || b[0] + b[2] <= a[0]
                    || a[1] + a[3] <= b[1]
                    || b[1] + b[3] <= a[1];
                assert!(apart, "{a:?} {b:?}");
            }
        }
        let height: usize = root.attribute("height").unwrap().parse().unwrap();
        assert!(rects.iter().all(|rect| rect[1] + rect[3] <= height));
        assert!(text.contains("&lt;vm2&gt;"));
    }

    #[test]
    fn no_networks_give_an_empty_picture() {
        parse(&svg(&[]), Blanks::Drop).unwrap();
    }
}
