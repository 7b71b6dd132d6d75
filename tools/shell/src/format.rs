//! Results for programs: JSON, YAML, CSV and bare names.
//!
//! Keys and values are never translated and stay what they are from release to release; times are RFC
//! 3339 in UTC. What is not known is `null`.

use oxivirt::NetworkEvent;
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::command::{Completer, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

/// The words of `--format` on listings.
pub(crate) const FORMATS: &[&str] = &["table", "json", "yaml", "csv", "name"];

/// The words of `--format` where there is one thing and no list.
pub(crate) const OBJECT_FORMATS: &[&str] = &["json", "yaml"];

/// The words of `--format` for events.
pub(crate) const EVENT_FORMATS: &[&str] = &["text", "json"];

/// Option `format` of listings.
pub(crate) const FORMAT: OptionDef =
    OptionDef::text("format", mark!("table, json, yaml, csv or name"))
        .complete(Completer::Words(FORMATS))
        .ours();

/// Option `format` of commands with one object as result.
pub(crate) const OBJECT_FORMAT: OptionDef = OptionDef::text("format", mark!("json or yaml"))
    .complete(Completer::Words(OBJECT_FORMATS))
    .ours();

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As for people.
    Text,
    /// One JSON value.
    Json,
    /// The same as YAML.
    Yaml,
    /// RFC 4180, with a header.
    Csv,
    /// What each record is called, a line each.
    Name,
}

impl Format {
    /// What option `format` of a listing asks for; nothing for a table.
    ///
    /// # Errors
    /// If it is no format.
    pub(crate) fn of(args: &Args) -> Result<Option<Self>, Failure> {
        Self::among(args, FORMATS)
    }

    /// The same where there is one object.
    ///
    /// # Errors
    /// If it is no format.
    pub(crate) fn of_object(args: &Args) -> Result<Option<Self>, Failure> {
        Self::among(args, OBJECT_FORMATS)
    }

    /// The same for events.
    ///
    /// # Errors
    /// If it is no format.
    pub(crate) fn of_events(args: &Args) -> Result<Self, Failure> {
        Ok(Self::among(args, EVENT_FORMATS)?.unwrap_or(Self::Text))
    }

    fn among(args: &Args, known: &[&str]) -> Result<Option<Self>, Failure> {
        if !args.command().options.iter().any(|option| option.name == "format") {
            return Ok(None);
        }
        let Some(word) = args.text("format")? else { return Ok(None) };
        match word.as_str() {
            word if !known.contains(&word) => {
                let known = known.join(", ");
                Err(Failure::Message(tr!(
                    "unknown format '{format}', there are: {known}",
                    format = word,
                    known = known
                )))
            }
            "json" => Ok(Some(Self::Json)),
            "yaml" => Ok(Some(Self::Yaml)),
            "csv" => Ok(Some(Self::Csv)),
            "name" => Ok(Some(Self::Name)),
            _ => Ok(None),
        }
    }
}

/// Records with the same keys.
#[derive(Debug)]
pub(crate) struct Records {
    keys: &'static [&'static str],
    /// The key that a record is called by.
    name: &'static str,
    rows: Vec<Map<String, Value>>,
}

impl Records {
    pub(crate) fn new(keys: &'static [&'static str], name: &'static str) -> Self {
        Self { keys, name, rows: Vec::new() }
    }

    /// Adds a record, its values in the order of the keys.
    pub(crate) fn push(&mut self, values: impl IntoIterator<Item = Value>) {
        let keys = self.keys.iter().map(|key| (*key).to_owned());
        self.rows.push(keys.zip(values).collect());
    }

    /// The text in a format.
    pub(crate) fn render(&self, format: Format) -> String {
        match format {
            Format::Json | Format::Text => {
                let rows = self.rows.iter().cloned().map(Value::Object).collect();
                json_text(&Value::Array(rows))
            }
            Format::Yaml => {
                yaml_text(&Value::Array(self.rows.iter().cloned().map(Value::Object).collect()))
            }
            Format::Csv => self.csv(),
            Format::Name => {
                let names = self.rows.iter().filter_map(|row| row.get(self.name));
                names.map(|name| format!("{}\n", plain(name))).collect()
            }
        }
    }

    /// Prints the records.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn print(&self, shell: &mut Shell, format: Format) -> Result<(), Failure> {
        shell.ui.data(self.render(format))?;
        Ok(())
    }

    fn csv(&self) -> String {
        let mut text = self.keys.join(",") + "\r\n";
        for row in &self.rows {
            let cells = self.keys.iter().map(|key| csv_cell(row.get(*key)));
            text.push_str(&cells.collect::<Vec<_>>().join(","));
            text.push_str("\r\n");
        }
        text
    }
}

/// Prints one value.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn print_value(shell: &mut Shell, format: Format, value: &Value) -> Result<(), Failure> {
    let text = if format == Format::Yaml { yaml_text(value) } else { json_text(value) };
    shell.ui.data(text)?;
    Ok(())
}

fn json_text(value: &Value) -> String {
    // a value made of strings and numbers always has a text
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn csv_cell(value: Option<&Value>) -> String {
    let text = value.map(plain).unwrap_or_default();
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// YAML of a value: block style, strings quoted as JSON does, which every YAML reader takes.
pub(crate) fn yaml_text(value: &Value) -> String {
    let mut text = String::new();
    push_yaml(&mut text, value, 0);
    text
}

fn push_yaml(text: &mut String, value: &Value, level: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                push_indent(text, level);
                text.push_str("- ");
                push_inline(text, item, level + 1);
            }
        }
        Value::Object(members) if !members.is_empty() => {
            for (index, (key, member)) in members.iter().enumerate() {
                // the first key of a list's item stands behind its dash
                if index > 0 || !text.ends_with("- ") {
                    push_indent(text, level);
                }
                text.push_str(&yaml_scalar(key));
                text.push(':');
                match member {
                    Value::Array(items) if !items.is_empty() => {
                        text.push('\n');
                        push_yaml(text, member, level + 1);
                    }
                    Value::Object(members) if !members.is_empty() => {
                        text.push('\n');
                        push_yaml(text, member, level + 1);
                    }
                    scalar => {
                        text.push(' ');
                        text.push_str(&yaml_value(scalar));
                        text.push('\n');
                    }
                }
            }
        }
        scalar => {
            text.push_str(&yaml_value(scalar));
            text.push('\n');
        }
    }
}

fn push_inline(text: &mut String, item: &Value, level: usize) {
    match item {
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            push_yaml(text, item, level);
        }
        _ => push_yaml(text, item, level),
    }
}

fn push_indent(text: &mut String, level: usize) {
    text.extend(std::iter::repeat_n("  ", level));
}

fn yaml_value(value: &Value) -> String {
    match value {
        Value::String(text) => yaml_scalar(text),
        other => other.to_string(),
    }
}

/// A word that no YAML reader takes for anything else stays bare.
fn yaml_scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"];
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && !matches!(text.to_ascii_lowercase().as_str(), "inf" | "nan");
    if is_word { text.to_owned() } else { Value::from(text).to_string() }
}

/// Seconds since 1970 as RFC 3339 in UTC.
pub(crate) fn time(seconds: i64) -> Value {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => Value::from(time.to_string()),
        Err(_) => Value::Null,
    }
}

/// An event as a JSON object.
pub(crate) fn event_object(event: &NetworkEvent, time: jiff::Timestamp) -> Value {
    let time = time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let network = event.network();
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("time", time.into());
    put("event", event.id().word().unwrap_or("unknown").into());
    put("network", network.name.clone().into());
    put("uuid", network.uuid.to_string().into());
    match event {
        NetworkEvent::Lifecycle { event, .. } => {
            let what = event.word().unwrap_or("unknown").to_ascii_lowercase();
            put("change", what.into());
        }
        NetworkEvent::MetadataChange { kind, uri, .. } => {
            put("type", kind.word().unwrap_or("unknown").into());
            put("uri", json!(uri));
        }
        NetworkEvent::Updated { section, .. } => {
            put("section", section.word().unwrap_or("unknown").into());
        }
        NetworkEvent::Healed { steps, .. } => {
            put("steps", json!(steps));
        }
        NetworkEvent::Warning { text, .. } => {
            put("text", text.clone().into());
        }
        NetworkEvent::Lease { change, lease, .. } => {
            put("change", format!("{change:?}").to_ascii_lowercase().into());
            put("mac", json!(lease.mac));
            put("address", lease.ipaddr.clone().into());
        }
        // name and network are known of every event
        _ => {}
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Records {
        let mut records = Records::new(&["name", "active", "title"], "name");
        records.push(["lab".into(), true.into(), Value::Null]);
        records.push(["a,\"b\"".into(), false.into(), "two words: x".into()]);
        records
    }

    #[test]
    fn formats() {
        let records = records();
        assert_eq!(records.render(Format::Name), "lab\na,\"b\"\n");
        assert_eq!(
            records.render(Format::Csv),
            "name,active,title\r\nlab,true,\r\n\"a,\"\"b\"\"\",false,two words: x\r\n"
        );
        assert_eq!(
            records.render(Format::Yaml),
            "- name: lab\n  active: true\n  title: null\n- name: \"a,\\\"b\\\"\"\n  active: false\n  title: \"two words: x\"\n"
        );
        let json: Value = serde_json::from_str(&records.render(Format::Json)).unwrap();
        assert_eq!(json[1]["title"], "two words: x");
        assert_eq!(Records::new(&["a"], "a").render(Format::Json), "[]\n");
    }

    #[test]
    fn yaml_nests() {
        let value = json!({"a": {"b": [1, "no", {"c": [], "d": {}}]}, "e": [[1, 2]]});
        let expect = "a:\n  b:\n    - 1\n    - \"no\"\n    - c: []\n      d: {}\ne:\n  - \n    - 1\n    - 2\n";
        assert_eq!(yaml_text(&value), expect);
    }
}
