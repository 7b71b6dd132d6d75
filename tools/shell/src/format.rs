//! Machine-readable results: JSON, YAML, CSV and bare names.
//!
//! Keys and values are never translated and are stable from release to release. Times are RFC 3339 in UTC, an
//! unknown value is `null`.

use oxivirt::NetworkEvent;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::command::{Completer, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::suggest::valid_values;

/// The formats of listings.
pub(crate) const FORMATS: &[&str] = &["table", "json", "yaml", "csv", "name"];

/// The formats of a single object.
pub(crate) const OBJECT_FORMATS: &[&str] = &["json", "yaml"];

/// The formats of events.
pub(crate) const EVENT_FORMATS: &[&str] = &["text", "json"];

/// Option `format` of listings.
pub(crate) const FORMAT: OptionDef =
    OptionDef::text("format", mark!("output format: table, json, yaml, csv or name"))
        .complete(Completer::Words(FORMATS))
        .ours();

/// Option `format` of commands with one object as result.
pub(crate) const OBJECT_FORMAT: OptionDef =
    OptionDef::text("format", mark!("output format: json or yaml"))
        .complete(Completer::Words(OBJECT_FORMATS))
        .ours();

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// One JSON value.
    Json,
    /// The same as YAML.
    Yaml,
    /// RFC 4180, with a header.
    Csv,
    /// The name of each record, one per line.
    Name,
}

impl Format {
    /// The value of option `format` of a listing; `None` for a table.
    ///
    /// # Errors
    /// If it is not one of [`FORMATS`].
    pub(crate) fn of(args: &Args) -> Result<Option<Self>, Failure> {
        Self::among(args, FORMATS)
    }

    /// The same for a single object.
    ///
    /// # Errors
    /// If it is not one of [`OBJECT_FORMATS`].
    pub(crate) fn of_object(args: &Args) -> Result<Option<Self>, Failure> {
        Self::among(args, OBJECT_FORMATS)
    }

    /// The same for events.
    ///
    /// # Errors
    /// If it is not one of [`EVENT_FORMATS`].
    pub(crate) fn of_events(args: &Args) -> Result<Self, Failure> {
        Ok(Self::among(args, EVENT_FORMATS)?.unwrap_or(Self::Text))
    }

    fn among(args: &Args, known: &[&str]) -> Result<Option<Self>, Failure> {
        if !args.command().options.iter().any(|option| option.name == "format") {
            return Ok(None);
        }
        let Some(word) = args.text("format")? else { return Ok(None) };
        match word.as_str() {
            word if !known.contains(&word) => Err(unknown_format(word, known)),
            "json" => Ok(Some(Self::Json)),
            "yaml" => Ok(Some(Self::Yaml)),
            "csv" => Ok(Some(Self::Csv)),
            "name" => Ok(Some(Self::Name)),
            _ => Ok(None),
        }
    }
}

/// The failure for a format that is none of `valid`.
pub(crate) fn unknown_format(word: &str, valid: &[&str]) -> Failure {
    let message = Failure::Message(tr!("unknown format '{format}'", format = word));
    message.hint(valid_values(word, valid))
}

/// One row of a listing: a struct whose fields are the keys, in the order of the columns.
pub(crate) trait Record: Serialize {
    /// The names of the fields, for the header of an empty CSV listing as well.
    const KEYS: &'static [&'static str];

    /// The row in format `name`.
    fn name(&self) -> String;
}

/// Prints a listing.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn print_records<R: Record>(
    shell: &mut Shell,
    format: Format,
    records: &[R],
) -> Result<(), Failure> {
    shell.ui.data(render_records(format, records)?)?;
    Ok(())
}

fn render_records<R: Record>(format: Format, records: &[R]) -> Result<String, Failure> {
    match format {
        Format::Csv => csv_text(records),
        Format::Name => Ok(records.iter().map(|record| record.name() + "\n").collect()),
        Format::Json | Format::Text | Format::Yaml => render(format, &records),
    }
}

/// Prints one value.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn print_value(
    shell: &mut Shell,
    format: Format,
    value: &impl Serialize,
) -> Result<(), Failure> {
    shell.ui.data(render(format, value)?)?;
    Ok(())
}

fn render(format: Format, value: &impl Serialize) -> Result<String, Failure> {
    if format == Format::Yaml {
        // one line per value, so that the text can be searched
        let options = serde_saphyr::ser_options! {
            prefer_block_scalars: false,
            compact_list_indent: false,
        };
        return serde_saphyr::to_string_with_options(value, options).map_err(unprintable);
    }
    Ok(serde_json::to_string_pretty(value).map_err(unprintable)? + "\n")
}

fn csv_text<R: Record>(records: &[R]) -> Result<String, Failure> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(R::KEYS).map_err(unprintable)?;
    for record in records {
        writer.serialize(record).map_err(unprintable)?;
    }
    let bytes = writer.into_inner().map_err(|error| unprintable(error.into_error()))?;
    String::from_utf8(bytes).map_err(unprintable)
}

/// Records of strings, numbers and booleans can always be printed; a failure is a mistake in the record.
fn unprintable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Output(std::io::Error::other(error))
}

/// Seconds since 1970 as RFC 3339 in UTC, `None` if out of range.
pub(crate) fn time(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// The end of a lease; a lease without an end has expiry time 0.
pub(crate) fn expiry(seconds: i64) -> Option<String> {
    if seconds == 0 { None } else { time(seconds) }
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

    #[derive(Serialize)]
    struct Row {
        name: &'static str,
        active: bool,
        title: Option<&'static str>,
    }

    impl Record for Row {
        const KEYS: &'static [&'static str] = &["name", "active", "title"];

        fn name(&self) -> String {
            self.name.to_owned()
        }
    }

    #[track_caller]
    fn check(format: Format, expect: &str) {
        let records = [
            Row { name: "lab", active: true, title: None },
            Row { name: "a,\"b\"", active: false, title: Some("two words: x") },
        ];
        assert_eq!(render_records(format, &records).unwrap(), expect);
    }

    #[test]
    fn listings() {
        check(Format::Name, "lab\na,\"b\"\n");
        check(
            Format::Csv,
            "name,active,title\r\nlab,true,\r\n\"a,\"\"b\"\"\",false,two words: x\r\n",
        );
        check(
            Format::Yaml,
            "- name: lab\n  active: true\n  title: null\n- name: a,\"b\"\n  active: false\n  title: \"two words: x\"\n",
        );
        assert_eq!(render_records::<Row>(Format::Json, &[]).unwrap(), "[]\n");
        assert_eq!(render_records::<Row>(Format::Csv, &[]).unwrap(), "name,active,title\r\n");
    }

    #[test]
    fn yaml_values_are_read_back_as_strings() {
        // YAML 1.1 takes the first for a number in base 60, the rest for booleans, numbers and null
        let value =
            json!({"mac": "52:54:00:12:34:56", "stp": "on", "n": "12", "x": "null", "l": "a\nb"});
        let expect =
            "mac: \"52:54:00:12:34:56\"\nstp: \"on\"\n\"n\": \"12\"\nx: \"null\"\nl: \"a\\nb\"\n";
        assert_eq!(render(Format::Yaml, &value).unwrap(), expect);
    }
}
