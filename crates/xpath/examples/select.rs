//! Prints what an expression selects in a document.
//!
//! `cargo run -p oxivirt-xpath --example select [EXPRESSION [FILE]]`
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;

use oxivirt_xpath::{Form, select};

const NETWORK: &str = "<network><name>lab</name><ip address='10.0.0.1'><dhcp>
  <host mac='52:54:00:61:aa:01' ip='10.0.0.11'/><host mac='52:54:00:61:aa:02' ip='10.0.0.12'/>
</dhcp></ip></network>";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let expression = arguments.next().unwrap_or_else(|| "//host[last()]/@ip".to_owned());
    let text = match arguments.next() {
        Some(path) => std::fs::read_to_string(path)?,
        None => NETWORK.to_owned(),
    };
    // The outer error is about the document, the inner one about the expression.
    for form in [Form::Lines, Form::Wrapped] {
        print!("{}", select(&text, &expression, form)??);
    }
    Ok(())
}
