//! How options are written: JSON objects and comma-separated lists.

use std::fmt::Display;

use oxivirt_conf::OnOff;
use serde_json::{Map, Value};

/// The properties of an object as compact JSON; keys keep the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Props(Map<String, Value>);

impl Props {
    /// Without properties.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The properties of a device.
    pub(super) fn driver(name: impl Into<String>) -> Self {
        Self::new().with("driver", name.into())
    }

    /// The properties of an object.
    pub(super) fn object(kind: &str, id: impl Into<String>) -> Self {
        Self::new().with("qom-type", kind).with("id", id.into())
    }

    /// With one more property.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// With one more property if there is a value.
    pub(super) fn with_opt(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// With one more property if it is not zero.
    pub(super) fn with_nonzero(self, key: &str, value: Option<impl Into<u64>>) -> Self {
        self.with_opt(key, value.map(Into::into).filter(|&value: &u64| value != 0))
    }

    /// With a switch if it is set either way.
    pub(super) fn with_switch(self, key: &str, switch: Option<OnOff>) -> Self {
        self.with_opt(key, switch.map(|switch| switch == OnOff::On))
    }

    /// With all properties of another object.
    pub(super) fn with_all(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Replaces a property.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    /// Without a property.
    pub(super) fn remove(&mut self, key: &str) {
        self.0.shift_remove(key);
    }

    /// Whether there are no properties.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a value.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// As the text of an argument of emulators that read no JSON there.
    pub(super) fn to_words(&self) -> String {
        let mut words = Words::default();
        for (key, value) in &self.0 {
            words = match value {
                Value::String(text) if key == "driver" => words.word(text),
                Value::String(text) => words.pair(key, text),
                Value::Bool(is_on) => words.pair(key, on_off(*is_on)),
                other => words.pair(key, other),
            };
        }
        words.finish()
    }

    /// As the text of an argument.
    pub(super) fn to_text(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }
}

impl From<Props> for Value {
    fn from(props: Props) -> Self {
        props.into_value()
    }
}

/// A comma-separated list of words and `key=value` pairs.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(String);

impl Words {
    /// A list that begins with a word.
    pub(super) fn new(first: &str) -> Self {
        Self::default().word(first)
    }

    /// With one more word; its commas are doubled.
    pub(super) fn word(mut self, word: impl Display) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&escape(&word.to_string()));
        self
    }

    /// With a pair; commas of the value are doubled.
    pub(super) fn pair(mut self, key: &str, value: impl Display) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(key);
        self.0.push('=');
        self.0.push_str(&escape(&value.to_string()));
        self
    }

    /// With a pair if there is a value.
    pub(super) fn pair_opt(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.pair(key, value),
            None => self,
        }
    }

    /// With words as they are.
    pub(super) fn raw(mut self, words: &str) -> Self {
        if !self.0.is_empty() && !words.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(words);
        self
    }

    /// The list.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A value of a list: commas are doubled.
fn escape(text: &str) -> String {
    text.replace(',', ",,")
}

/// `on` or `off`.
pub(super) const fn on_off(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_double_commas() {
        let list = Words::new("socket").pair("path", "/a,b").pair_opt("x", None::<u32>);
        assert_eq!(list.finish(), "socket,path=/a,,b");
    }

    #[test]
    fn objects_keep_their_order() {
        let props = Props::driver("z").with("b", 1).with_opt("c", None::<u32>).with("a", true);
        assert_eq!(props.to_text(), r#"{"driver":"z","b":1,"a":true}"#);
    }
}
