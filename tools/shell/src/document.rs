//! XML results, and the nodes that `--xpath` selects in them.

use oxivirt_xpath::{self as xpath, Form, XPathError};

use crate::args::Args;
use crate::command::OptionDef;
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const XPATH: OptionDef =
    OptionDef::text("xpath", mark!("print only the nodes that this XPath expression selects"));
pub(crate) const WRAP: OptionDef =
    OptionDef::flag("wrap", mark!("wrap the selected nodes in one element"));

/// Prints a document, or the nodes that `--xpath` selects in it.
///
/// # Errors
/// If the expression is invalid, the document is not XML, or stdout cannot be written.
pub(crate) fn print_xml(shell: &mut Shell, args: &Args, xml: &str) -> Result<(), Failure> {
    let Some(expression) = args.text("xpath")? else {
        shell.ui.print(xml)?;
        return Ok(());
    };
    let form = if args.flag("wrap") { Form::Wrapped } else { Form::Lines };
    let selected = xpath::select(xml, &expression, form)
        .map_err(|error| Failure::Message(tr!("cannot parse the XML: {error}", error = error)))?;
    match selected {
        Ok(text) => {
            shell.ui.print(text)?;
            Ok(())
        }
        Err(error) => Err(Failure::Message(xpath_message(&expression, &error))),
    }
}

fn xpath_message(expression: &str, error: &XPathError) -> String {
    match error {
        XPathError::NotNodes => format!("internal error: Incorrect xpath '{expression}'"),
        XPathError::Syntax { what: _, at } => tr!(
            "XPath expression '{expression}' is malformed at character {at}",
            expression = expression,
            at = at + 1
        ),
        XPathError::Unknown { what: _, name } => tr!(
            "XPath expression '{expression}' uses the unknown name '{name}'",
            expression = expression,
            name = name
        ),
        XPathError::Arguments { function } => tr!(
            "XPath expression '{expression}' calls '{function}' with the wrong arguments",
            expression = expression,
            function = function
        ),
        XPathError::TooDeep | _ => {
            tr!("XPath expression is too long or too deep")
        }
    }
}
