//! The value of an expression.

use std::collections::BTreeSet;

use super::functions;
use super::parse::{Axis, Expression, Operator, Step, Test};
use super::tree::{Document, Kind, ROOT};
use super::{Value, XPathError};

/// The evaluation context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'d> {
    pub(super) document: &'d Document<'d>,
    pub(super) node: usize,
    /// From 1.
    pub(super) position: usize,
    pub(super) size: usize,
}

impl<'d> Context<'d> {
    /// The context node is the root element, as in libvirt, not the document root.
    pub(super) fn at_root_element(document: &'d Document<'d>) -> Self {
        Self { document, node: ROOT + 1, position: 1, size: 1 }
    }
}

impl Value {
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nodes(nodes) => !nodes.is_empty(),
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::Text(text) => !text.is_empty(),
            Self::Truth(truth) => *truth,
        }
    }

    pub(super) fn text(&self, document: &Document<'_>) -> String {
        match self {
            Self::Nodes(nodes) => {
                nodes.first().map(|&node| document.string_value(node)).unwrap_or_default()
            }
            Self::Number(number) => number_text(*number),
            Self::Text(text) => text.clone(),
            Self::Truth(truth) => truth.to_string(),
        }
    }

    pub(super) fn number(&self, document: &Document<'_>) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Truth(truth) => f64::from(u8::from(*truth)),
            other => text_number(&other.text(document)),
        }
    }
}

/// Section 4.2: no exponent, integers without a point.
pub(super) fn number_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else if number == 0.0 {
        "0".to_owned()
    } else {
        number.to_string()
    }
}

fn text_number(text: &str) -> f64 {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().any(|b| b.is_ascii_digit());
    if is_number { text.parse().unwrap_or(f64::NAN) } else { f64::NAN }
}

pub(super) fn evaluate(
    expression: &Expression,
    context: &Context<'_>,
) -> Result<Value, XPathError> {
    match expression {
        Expression::Number(number) => Ok(Value::Number(*number)),
        Expression::Literal(text) => Ok(Value::Text(text.clone())),
        Expression::Negative(inner) => {
            Ok(Value::Number(-evaluate(inner, context)?.number(context.document)))
        }
        Expression::Call { function, arguments } => functions::call(function, arguments, context),
        Expression::Binary(operator, left, right) => binary(*operator, left, right, context),
        Expression::Path(path) => {
            let start = if path.from_root { ROOT } else { context.node };
            Ok(Value::Nodes(walk(&path.steps, BTreeSet::from([start]), context)?))
        }
        Expression::Filter { primary, predicates, steps } => {
            let Value::Nodes(nodes) = evaluate(primary, context)? else {
                return Err(XPathError::NotNodes);
            };
            let ordered = nodes.into_iter().collect();
            let nodes = narrow(ordered, predicates, context)?;
            Ok(Value::Nodes(walk(steps, nodes.into_iter().collect(), context)?))
        }
    }
}

fn binary(
    operator: Operator,
    left: &Expression,
    right: &Expression,
    context: &Context<'_>,
) -> Result<Value, XPathError> {
    let document = context.document;
    let left = evaluate(left, context)?;
    let numbers = |left: &Value, right: &Value, work: fn(f64, f64) -> f64| {
        Value::Number(work(left.number(document), right.number(document)))
    };
    match operator {
        // the right operand is not evaluated if the left one decides
        Operator::Or if left.truth() => return Ok(Value::Truth(true)),
        Operator::And if !left.truth() => return Ok(Value::Truth(false)),
        _ => {}
    }
    let right = evaluate(right, context)?;
    Ok(match operator {
        Operator::Or | Operator::And => Value::Truth(right.truth()),
        Operator::Equal
        | Operator::Unequal
        | Operator::Less
        | Operator::AtMost
        | Operator::Greater
        | Operator::AtLeast => Value::Truth(compare(operator, &left, &right, document)),
        Operator::Add => numbers(&left, &right, |a, b| a + b),
        Operator::Subtract => numbers(&left, &right, |a, b| a - b),
        Operator::Multiply => numbers(&left, &right, |a, b| a * b),
        Operator::Divide => numbers(&left, &right, |a, b| a / b),
        Operator::Remainder => numbers(&left, &right, |a, b| a % b),
        Operator::Union => match (left, right) {
            (Value::Nodes(left), Value::Nodes(right)) => Value::Nodes(&left | &right),
            _ => return Err(XPathError::NotNodes),
        },
    })
}

/// Section 3.4: a node set compares true if any of its nodes does.
fn compare(operator: Operator, left: &Value, right: &Value, document: &Document<'_>) -> bool {
    let each = |nodes: &BTreeSet<usize>| -> Vec<Value> {
        nodes.iter().map(|&node| Value::Text(document.string_value(node))).collect()
    };
    match (left, right) {
        (Value::Nodes(_), Value::Truth(_)) | (Value::Truth(_), Value::Nodes(_)) => {
            single(operator, &Value::Truth(left.truth()), &Value::Truth(right.truth()), document)
        }
        (Value::Nodes(nodes), other) => {
            each(nodes).iter().any(|left| compare(operator, left, other, document))
        }
        (other, Value::Nodes(nodes)) => {
            each(nodes).iter().any(|right| compare(operator, other, right, document))
        }
        _ => single(operator, left, right, document),
    }
}

fn single(operator: Operator, left: &Value, right: &Value, document: &Document<'_>) -> bool {
    let numbers = (left.number(document), right.number(document));
    match operator {
        Operator::Equal | Operator::Unequal => {
            let equal = match (left, right) {
                (Value::Truth(_), _) | (_, Value::Truth(_)) => left.truth() == right.truth(),
                #[expect(clippy::float_cmp, reason = "the language compares numbers exactly")]
                (Value::Number(_), _) | (_, Value::Number(_)) => numbers.0 == numbers.1,
                _ => left.text(document) == right.text(document),
            };
            equal == (operator == Operator::Equal)
        }
        Operator::Less => numbers.0 < numbers.1,
        Operator::AtMost => numbers.0 <= numbers.1,
        Operator::Greater => numbers.0 > numbers.1,
        _ => numbers.0 >= numbers.1,
    }
}

fn walk(
    steps: &[Step],
    start: BTreeSet<usize>,
    context: &Context<'_>,
) -> Result<BTreeSet<usize>, XPathError> {
    let mut nodes = start;
    for step in steps {
        let mut next = BTreeSet::new();
        for node in nodes {
            let found = on_axis(context.document, node, step.axis);
            let fitting = found.into_iter().filter(|&node| fits(context.document, node, step));
            next.extend(narrow(fitting.collect(), &step.predicates, context)?);
        }
        nodes = next;
    }
    Ok(nodes)
}

/// The nodes of an axis, nearest first.
fn on_axis(document: &Document<'_>, node: usize, axis: Axis) -> Vec<usize> {
    let parent = document.node(node).parent;
    let is_attribute = |node: usize| matches!(document.node(node).kind, Kind::Attribute(_));
    let siblings = || match parent {
        Some(parent) if !is_attribute(node) => document.node(parent).children.clone(),
        _ => Vec::new(),
    };
    let ancestors = || std::iter::successors(parent, |&node| document.node(node).parent);
    let inside = |from: usize| {
        (from..document.end_of(node)).filter(|&inner| !is_attribute(inner)).collect::<Vec<_>>()
    };
    let mut nodes: Vec<usize> = match axis {
        Axis::Own => vec![node],
        Axis::Parent => parent.into_iter().collect(),
        Axis::Child => document.node(node).children.clone(),
        Axis::Attribute => document.node(node).attributes.clone(),
        Axis::Ancestor => return ancestors().collect(),
        Axis::AncestorOrSelf => return std::iter::once(node).chain(ancestors()).collect(),
        Axis::Descendant => inside(node + 1),
        Axis::DescendantOrSelf if is_attribute(node) => vec![node],
        Axis::DescendantOrSelf => inside(node),
        Axis::FollowingSibling => siblings().into_iter().filter(|&other| other > node).collect(),
        Axis::PrecedingSibling => siblings().into_iter().filter(|&other| other < node).collect(),
        Axis::Following => {
            (document.end_of(node)..document.len()).filter(|&other| !is_attribute(other)).collect()
        }
        Axis::Preceding => {
            let above: Vec<_> = ancestors().collect();
            (0..node).filter(|other| !is_attribute(*other) && !above.contains(other)).collect()
        }
        Axis::Namespace => Vec::new(),
    };
    if axis.is_reverse() {
        nodes.reverse();
    }
    nodes
}

fn fits(document: &Document<'_>, node: usize, step: &Step) -> bool {
    let kind = &document.node(node).kind;
    let is_principal = match step.axis {
        Axis::Attribute => matches!(kind, Kind::Attribute(_)),
        _ => matches!(kind, Kind::Element(_)),
    };
    match &step.test {
        Test::Node => true,
        Test::Any => is_principal,
        Test::Name(name) => {
            let (local, namespace, _) = document.name(node);
            is_principal && namespace.is_none() && local == name
        }
        Test::Text => matches!(kind, Kind::Text(_)),
        Test::Comment => matches!(kind, Kind::Comment(_)),
        Test::Instruction(wanted) => match (kind, wanted) {
            (Kind::Instruction { target, .. }, Some(wanted)) => target == wanted,
            (Kind::Instruction { .. }, None) => true,
            _ => false,
        },
    }
}

/// Keeps the nodes that pass all predicates; positions count in the given order.
fn narrow(
    nodes: Vec<usize>,
    predicates: &[Expression],
    context: &Context<'_>,
) -> Result<Vec<usize>, XPathError> {
    let mut nodes = nodes;
    for predicate in predicates {
        let size = nodes.len();
        let mut kept = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let position = index + 1;
            let here = Context { document: context.document, node, position, size };
            let passes = match evaluate(predicate, &here)? {
                Value::Number(number) => {
                    #[expect(clippy::cast_precision_loss, reason = "no document has 2^53 nodes")]
                    let position = position as f64;
                    (number - position).abs() < f64::EPSILON
                }
                other => other.truth(),
            };
            if passes {
                kept.push(node);
            }
        }
        nodes = kept;
    }
    Ok(nodes)
}
