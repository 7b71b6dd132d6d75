//! Parser: tokens to an expression (section 3 of the recommendation).

use super::XPathError;
use super::lex::{Token, tokens};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Binary(Operator, Box<Self>, Box<Self>),
    Negative(Box<Self>),
    Number(f64),
    Literal(String),
    Call {
        function: String,
        arguments: Vec<Self>,
    },
    Path(Path),
    /// A value narrowed by predicates and followed by steps.
    Filter {
        primary: Box<Self>,
        predicates: Vec<Self>,
        steps: Vec<Step>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Union,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    pub(super) from_root: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) axis: Axis,
    pub(super) test: Test,
    pub(super) predicates: Vec<Expression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Ancestor,
    AncestorOrSelf,
    Attribute,
    Child,
    Descendant,
    DescendantOrSelf,
    Following,
    FollowingSibling,
    Namespace,
    Parent,
    Preceding,
    PrecedingSibling,
    Own,
}

impl Axis {
    const ALL: [(&'static str, Self); 13] = [
        ("ancestor", Self::Ancestor),
        ("ancestor-or-self", Self::AncestorOrSelf),
        ("attribute", Self::Attribute),
        ("child", Self::Child),
        ("descendant", Self::Descendant),
        ("descendant-or-self", Self::DescendantOrSelf),
        ("following", Self::Following),
        ("following-sibling", Self::FollowingSibling),
        ("namespace", Self::Namespace),
        ("parent", Self::Parent),
        ("preceding", Self::Preceding),
        ("preceding-sibling", Self::PrecedingSibling),
        ("self", Self::Own),
    ];

    /// Whether positions count against document order.
    pub(super) fn is_reverse(self) -> bool {
        matches!(
            self,
            Self::Ancestor | Self::AncestorOrSelf | Self::Preceding | Self::PrecedingSibling
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// `*`
    Any,
    Name(String),
    Node,
    Text,
    Comment,
    Instruction(Option<String>),
}

/// Limit on nested brackets and signs, so that recursion stays within the stack.
const MAX_DEPTH: usize = 64;

pub(super) fn expression(text: &str) -> Result<Expression, XPathError> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, end: text.chars().count(), depth: 0 };
    let expression = parser.or()?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.error()),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    end: usize,
    depth: usize,
}

/// Operators by how tightly they bind, loosest first.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("or", Operator::Or)],
    &[("and", Operator::And)],
    &[("=", Operator::Equal), ("!=", Operator::Unequal)],
    &[
        ("<", Operator::Less),
        ("<=", Operator::AtMost),
        (">", Operator::Greater),
        (">=", Operator::AtLeast),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("div", Operator::Divide), ("mod", Operator::Remainder)],
];

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    fn peek_second(&self) -> Option<&Token> {
        self.tokens.get(self.next + 1).map(|(token, _)| token)
    }

    fn error(&self) -> XPathError {
        let at = self.tokens.get(self.next).map_or(self.end, |(_, at)| *at);
        XPathError::Syntax { what: "invalid expression", at }
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol)
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.next += usize::from(found);
        found
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<(), XPathError> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.error()) }
    }

    fn or(&mut self) -> Result<Expression, XPathError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(XPathError::TooDeep);
        }
        let found = self.binary(0);
        self.depth -= 1;
        found
    }

    fn binary(&mut self, level: usize) -> Result<Expression, XPathError> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            let (Some(Token::Symbol(word)) | Some(Token::Operator(word))) = self.peek() else {
                return Ok(left);
            };
            let found = operators.iter().find(|(operator, _)| operator == word);
            let Some(&(_, operator)) = found else { return Ok(left) };
            self.next += 1;
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Result<Expression, XPathError> {
        let mut signs = 0;
        while self.take_symbol("-") {
            signs += 1;
        }
        let mut value = self.union()?;
        // a sign converts any operand to a number
        for _ in 0..if signs == 0 { 0 } else { 2 - signs % 2 } {
            value = Expression::Negative(Box::new(value));
        }
        Ok(value)
    }

    fn union(&mut self) -> Result<Expression, XPathError> {
        let mut left = self.path()?;
        while self.take_symbol("|") {
            let right = self.path()?;
            left = Expression::Binary(Operator::Union, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn path(&mut self) -> Result<Expression, XPathError> {
        if self.starts_primary() {
            return self.filter();
        }
        let mut steps = Vec::new();
        let from_root = self.is_symbol("/") || self.is_symbol("//");
        if self.take_symbol("//") {
            steps.push(Step::anywhere());
            self.steps(&mut steps)?;
        } else if self.take_symbol("/") {
            if self.starts_step() {
                self.steps(&mut steps)?;
            }
        } else {
            self.steps(&mut steps)?;
        }
        Ok(Expression::Path(Path { from_root, steps }))
    }

    fn starts_primary(&self) -> bool {
        match self.peek() {
            Some(Token::Number(_) | Token::Literal(_)) => true,
            Some(Token::Symbol(symbol)) => matches!(*symbol, "(" | "$"),
            Some(Token::Name(name)) => {
                let is_type = ["node", "text", "comment", "processing-instruction"];
                matches!(self.peek_second(), Some(Token::Symbol("(")))
                    && !is_type.contains(&name.as_str())
            }
            _ => false,
        }
    }

    fn starts_step(&self) -> bool {
        match self.peek() {
            Some(Token::Name(_) | Token::Any(_)) => true,
            Some(Token::Symbol(symbol)) => matches!(*symbol, "@" | "." | ".."),
            _ => false,
        }
    }

    fn filter(&mut self) -> Result<Expression, XPathError> {
        let primary = self.primary()?;
        let predicates = self.predicates()?;
        let mut steps = Vec::new();
        if self.take_symbol("//") {
            steps.push(Step::anywhere());
            self.steps(&mut steps)?;
        } else if self.take_symbol("/") {
            self.steps(&mut steps)?;
        }
        if predicates.is_empty() && steps.is_empty() {
            return Ok(primary);
        }
        Ok(Expression::Filter { primary: Box::new(primary), predicates, steps })
    }

    fn primary(&mut self) -> Result<Expression, XPathError> {
        let Some((token, _)) = self.tokens.get(self.next).cloned() else {
            return Err(self.error());
        };
        match token {
            Token::Number(number) => {
                self.next += 1;
                Ok(Expression::Number(number))
            }
            Token::Literal(text) => {
                self.next += 1;
                Ok(Expression::Literal(text))
            }
            Token::Symbol("(") => {
                self.next += 1;
                let inner = self.or()?;
                self.expect_symbol(")")?;
                Ok(inner)
            }
            Token::Symbol("$") => match self.peek_second() {
                Some(Token::Name(name)) => {
                    Err(XPathError::Unknown { what: "variable", name: name.clone() })
                }
                _ => Err(self.error()),
            },
            Token::Name(function) => {
                self.next += 1;
                self.expect_symbol("(")?;
                let mut arguments = Vec::new();
                while !self.take_symbol(")") {
                    if !arguments.is_empty() {
                        self.expect_symbol(",")?;
                    }
                    arguments.push(self.or()?);
                }
                Ok(Expression::Call { function, arguments })
            }
            _ => Err(self.error()),
        }
    }

    fn steps(&mut self, steps: &mut Vec<Step>) -> Result<(), XPathError> {
        steps.push(self.step()?);
        loop {
            if self.take_symbol("//") {
                steps.push(Step::anywhere());
            } else if !self.take_symbol("/") {
                return Ok(());
            }
            steps.push(self.step()?);
        }
    }

    fn step(&mut self) -> Result<Step, XPathError> {
        if self.take_symbol(".") {
            return Ok(Step { axis: Axis::Own, test: Test::Node, predicates: Vec::new() });
        }
        if self.take_symbol("..") {
            return Ok(Step { axis: Axis::Parent, test: Test::Node, predicates: Vec::new() });
        }
        let axis = self.axis()?;
        let test = self.test()?;
        Ok(Step { axis, test, predicates: self.predicates()? })
    }

    fn axis(&mut self) -> Result<Axis, XPathError> {
        if self.take_symbol("@") {
            return Ok(Axis::Attribute);
        }
        let (Some(Token::Name(name)), Some(Token::Symbol("::"))) =
            (self.peek(), self.peek_second())
        else {
            return Ok(Axis::Child);
        };
        let axis = Axis::ALL.into_iter().find(|(word, _)| word == name).map(|(_, axis)| axis);
        let axis = axis.ok_or_else(|| self.error())?;
        self.next += 2;
        Ok(axis)
    }

    fn test(&mut self) -> Result<Test, XPathError> {
        let token = self.peek().cloned();
        match token {
            Some(Token::Any(None)) => {
                self.next += 1;
                Ok(Test::Any)
            }
            Some(Token::Any(Some(name))) => Err(XPathError::Unknown { what: "prefix", name }),
            Some(Token::Name(name)) => {
                self.next += 1;
                if self.is_symbol("(") {
                    return self.type_test(&name);
                }
                match name.split_once(':') {
                    Some((prefix, _)) => {
                        Err(XPathError::Unknown { what: "prefix", name: prefix.to_owned() })
                    }
                    None => Ok(Test::Name(name)),
                }
            }
            _ => Err(self.error()),
        }
    }

    fn type_test(&mut self, name: &str) -> Result<Test, XPathError> {
        self.expect_symbol("(")?;
        let target = match self.peek().cloned() {
            Some(Token::Literal(text)) if name == "processing-instruction" => {
                self.next += 1;
                Some(text)
            }
            _ => None,
        };
        let test = match name {
            "node" => Test::Node,
            "text" => Test::Text,
            "comment" => Test::Comment,
            "processing-instruction" => Test::Instruction(target),
            _ => return Err(self.error()),
        };
        self.expect_symbol(")")?;
        Ok(test)
    }

    fn predicates(&mut self) -> Result<Vec<Expression>, XPathError> {
        let mut predicates = Vec::new();
        while self.take_symbol("[") {
            predicates.push(self.or()?);
            self.expect_symbol("]")?;
        }
        Ok(predicates)
    }
}

impl Step {
    /// The step that `//` abbreviates.
    fn anywhere() -> Self {
        Self { axis: Axis::DescendantOrSelf, test: Test::Node, predicates: Vec::new() }
    }
}
