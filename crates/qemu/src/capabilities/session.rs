//! One run of an emulator: what it was asked and what it answered.

use serde_json::Value;

/// A question to the emulator.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The QMP command.
    pub command: String,
    /// Its arguments, an object; `null` if it has none.
    pub arguments: Value,
}

impl Call {
    /// A question without arguments.
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), arguments: Value::Null }
    }

    /// A question with arguments.
    #[must_use]
    pub fn with(command: &str, arguments: Value) -> Self {
        Self { command: command.to_owned(), arguments }
    }
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The question.
    pub call: Call,
    /// What was returned, or the description of the error.
    pub answer: Result<Value, String>,
}

/// The exchanges of one run in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Session {
    exchanges: Vec<Exchange>,
}

impl Session {
    /// A run in which nothing has been asked.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the emulator answered.
    pub fn push(&mut self, exchange: Exchange) {
        self.exchanges.push(exchange);
    }

    /// The exchanges in their order.
    #[must_use]
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    /// Whether the question has been asked.
    #[must_use]
    pub fn has(&self, call: &Call) -> bool {
        self.exchanges.iter().any(|exchange| exchange.call == *call)
    }

    /// The answer to a question; nothing if it was not asked or an error was returned.
    #[must_use]
    pub fn answer(&self, call: &Call) -> Option<&Value> {
        let exchange = self.exchanges.iter().find(|exchange| exchange.call == *call)?;
        exchange.answer.as_ref().ok()
    }

    /// The answer to a question without arguments.
    #[must_use]
    pub fn reply(&self, command: &str) -> Option<&Value> {
        let exchange = self.exchanges.iter().find(|exchange| {
            exchange.call.command == command && exchange.call.arguments.is_null()
        })?;
        exchange.answer.as_ref().ok()
    }

    /// The elements of an answer that is a list; none if it is another thing.
    pub(super) fn list(&self, command: &str) -> impl Iterator<Item = &Value> {
        self.reply(command).and_then(Value::as_array).into_iter().flatten()
    }
}

/// A member of an object that is a text.
pub(super) fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member)?.as_str()
}

/// Whether a member of an object is true.
pub(super) fn is_true(value: &Value, member: &str) -> bool {
    value.get(member).and_then(Value::as_bool).unwrap_or(false)
}
