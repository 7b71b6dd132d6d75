//! The core function library (section 4 of the recommendation).

use std::collections::BTreeSet;

use super::eval::{Context, evaluate};
use super::parse::Expression;
use super::tree::Kind;
use super::{Value, XPathError};

/// Name, fewest and most arguments.
const FUNCTIONS: [(&str, usize, usize); 27] = [
    ("boolean", 1, 1),
    ("ceiling", 1, 1),
    ("concat", 2, usize::MAX),
    ("contains", 2, 2),
    ("count", 1, 1),
    ("false", 0, 0),
    ("floor", 1, 1),
    ("id", 1, 1),
    ("lang", 1, 1),
    ("last", 0, 0),
    ("local-name", 0, 1),
    ("name", 0, 1),
    ("namespace-uri", 0, 1),
    ("normalize-space", 0, 1),
    ("not", 1, 1),
    ("number", 0, 1),
    ("position", 0, 0),
    ("round", 1, 1),
    ("starts-with", 2, 2),
    ("string", 0, 1),
    ("string-length", 0, 1),
    ("substring", 2, 3),
    ("substring-after", 2, 2),
    ("substring-before", 2, 2),
    ("sum", 1, 1),
    ("translate", 3, 3),
    ("true", 0, 0),
];

/// Calls a function.
pub(super) fn call(
    function: &str,
    arguments: &[Expression],
    context: &Context<'_>,
) -> Result<Value, XPathError> {
    let Some(&(name, fewest, most)) = FUNCTIONS.iter().find(|(name, ..)| *name == function) else {
        return Err(XPathError::Unknown { what: "function", name: function.to_owned() });
    };
    if !(fewest..=most).contains(&arguments.len()) {
        return Err(XPathError::Arguments { function: name });
    }
    let values: Result<Vec<Value>, _> =
        arguments.iter().map(|argument| evaluate(argument, context)).collect();
    Call { name, values: values?, context }.answer()
}

struct Call<'c, 'd> {
    name: &'static str,
    values: Vec<Value>,
    context: &'c Context<'d>,
}

impl Call<'_, '_> {
    /// An argument as text; that of the context node if there is none.
    fn text(&self, index: usize) -> String {
        match self.values.get(index) {
            Some(value) => value.text(self.context.document),
            None => self.context.document.string_value(self.context.node),
        }
    }

    fn number(&self, index: usize) -> f64 {
        let document = self.context.document;
        match self.values.get(index) {
            Some(value) => value.number(document),
            None => Value::Text(document.string_value(self.context.node)).number(document),
        }
    }

    /// An argument as nodes; the context node if there is none.
    fn nodes(&self) -> Result<BTreeSet<usize>, XPathError> {
        match self.values.first() {
            Some(Value::Nodes(nodes)) => Ok(nodes.clone()),
            Some(_) => Err(XPathError::Arguments { function: self.name }),
            None => Ok(BTreeSet::from([self.context.node])),
        }
    }

    fn truth(&self) -> bool {
        self.values.first().is_some_and(Value::truth)
    }

    fn answer(&self) -> Result<Value, XPathError> {
        let document = self.context.document;
        Ok(match self.name {
            "true" => Value::Truth(true),
            "false" => Value::Truth(false),
            "boolean" => Value::Truth(self.truth()),
            "not" => Value::Truth(!self.truth()),
            "contains" => Value::Truth(self.text(0).contains(&self.text(1))),
            "starts-with" => Value::Truth(self.text(0).starts_with(&self.text(1))),
            "lang" => Value::Truth(self.lang()),
            "last" => number(self.context.size),
            "position" => number(self.context.position),
            "count" => number(self.nodes()?.len()),
            "string-length" => number(self.text(0).chars().count()),
            "number" => Value::Number(self.number(0)),
            "ceiling" => Value::Number(self.number(0).ceil()),
            "floor" => Value::Number(self.number(0).floor()),
            // a half goes up, also below zero
            "round" => Value::Number((self.number(0) + 0.5).floor()),
            "sum" => {
                let values = self.nodes()?.into_iter().map(|node| document.string_value(node));
                Value::Number(values.map(|text| Value::Text(text).number(document)).sum())
            }
            "string" => Value::Text(self.text(0)),
            "concat" => Value::Text((0..self.values.len()).map(|index| self.text(index)).collect()),
            "normalize-space" => {
                let text = self.text(0);
                let words = text.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
                Value::Text(words.collect::<Vec<_>>().join(" "))
            }
            "substring" => Value::Text(self.substring()),
            "substring-before" => {
                let (text, part) = (self.text(0), self.text(1));
                Value::Text(
                    text.split_once(&part).map(|(before, _)| before.to_owned()).unwrap_or_default(),
                )
            }
            "substring-after" => {
                let (text, part) = (self.text(0), self.text(1));
                Value::Text(
                    text.split_once(&part).map(|(_, after)| after.to_owned()).unwrap_or_default(),
                )
            }
            "translate" => Value::Text(self.translate()),
            // no attribute is declared to be an identifier
            "id" => Value::Nodes(BTreeSet::new()),
            _ => self.name_of_node()?,
        })
    }

    /// `name`, `local-name` and `namespace-uri`.
    fn name_of_node(&self) -> Result<Value, XPathError> {
        let Some(&node) = self.nodes()?.first() else { return Ok(Value::Text(String::new())) };
        let (local, namespace, prefix) = self.context.document.name(node);
        Ok(Value::Text(match (self.name, prefix) {
            ("namespace-uri", _) => namespace.unwrap_or_default().to_owned(),
            ("name", Some(prefix)) => format!("{prefix}:{local}"),
            _ => local.to_owned(),
        }))
    }

    fn lang(&self) -> bool {
        let wanted = self.text(0).to_ascii_lowercase();
        let document = self.context.document;
        let ancestors =
            std::iter::successors(Some(self.context.node), |&node| document.node(node).parent);
        for node in ancestors {
            if let Kind::Element(element) = &document.node(node).kind
                && let Some(attribute) = element
                    .attributes
                    .iter()
                    .find(|a| a.name == "lang" && a.prefix.as_deref() == Some("xml"))
            {
                let found = attribute.value.to_ascii_lowercase();
                let rest = found.strip_prefix(&wanted);
                return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            }
        }
        false
    }

    /// Positions count from 1 and are rounded; what is outside is left out.
    fn substring(&self) -> String {
        let round = |number: f64| (number + 0.5).floor();
        let from = round(self.number(1));
        let until = match self.values.get(2) {
            Some(_) => from + round(self.number(2)),
            None => f64::INFINITY,
        };
        let text = self.text(0);
        let mut position = 0.0;
        let inside = text.chars().filter(|_| {
            position += 1.0;
            position >= from && position < until
        });
        inside.collect()
    }

    fn translate(&self) -> String {
        let (from, to) = (self.text(1), self.text(2));
        let changed = |c: char| match from.chars().position(|found| found == c) {
            None => Some(c),
            Some(index) => to.chars().nth(index),
        };
        self.text(0).chars().filter_map(changed).collect()
    }
}

fn number(count: usize) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "no document has 2^53 nodes")]
    Value::Number(count as f64)
}
