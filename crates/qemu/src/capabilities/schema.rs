//! QEMU's description of its own commands (`query-qmp-schema`).
//!
//! QEMU: docs/devel/qapi-code-gen.rst, section "Client JSON Protocol introspection".

use std::collections::BTreeMap;

use serde_json::Value;

use super::session::text;

/// The entries of the description by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Schema<'v> {
    entries: BTreeMap<&'v str, &'v Value>,
}

impl<'v> Schema<'v> {
    /// Reads the reply of `query-qmp-schema`; entries without a name are left out.
    pub(super) fn new(reply: Option<&'v Value>) -> Self {
        let entries = reply.and_then(Value::as_array).into_iter().flatten();
        Self { entries: entries.filter_map(|entry| Some((text(entry, "name")?, entry))).collect() }
    }

    /// Whether there is such a command.
    pub(super) fn has_command(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| text(entry, "meta-type") == Some("command"))
    }

    /// Whether a path leads to something.
    ///
    /// A path is a command, `arg` or `ret`, and any number of steps, separated by `/`: `name` is a member and
    /// goes on with its type, `@name` the variant of a union that its tag selects, `=name` a value of
    /// an enumeration, `!name` a feature of the command or type reached.
    ///
    /// ```text
    /// blockdev-add/arg/@file/aio/=io_uring
    /// ```
    pub(super) fn has_path(&self, path: &str) -> bool {
        let mut steps = path.split('/');
        let Some(mut at) = steps.next().and_then(|command| self.entries.get(command).copied())
        else {
            return false;
        };
        for step in steps {
            match self.step(at, step) {
                Step::To(next) => at = next,
                Step::End => return true,
                Step::Missing => return false,
            }
        }
        true
    }

    fn step(&self, at: &'v Value, step: &str) -> Step<'v> {
        let at_type = |name: Option<&str>| match name.and_then(|name| self.entries.get(name)) {
            Some(entry) => Step::To(self.element_of(entry)),
            None => Step::Missing,
        };
        let lists = |list: &str, value: &str| {
            let values = at.get(list).and_then(Value::as_array).into_iter().flatten();
            let mut names = values.map(|entry| entry.as_str().or_else(|| text(entry, "name")));
            names.any(|name| name == Some(value))
        };
        if let Some(variant) = step.strip_prefix('@') {
            let variants = at.get("variants").and_then(Value::as_array).into_iter().flatten();
            let found = variants.into_iter().find(|entry| text(entry, "case") == Some(variant));
            return at_type(found.and_then(|entry| text(entry, "type")));
        }
        let end = |found| if found { Step::End } else { Step::Missing };
        if let Some(value) = step.strip_prefix('=') {
            return end(lists("values", value) || lists("members", value));
        }
        if let Some(feature) = step.strip_prefix('!') {
            return end(lists("features", feature));
        }
        match step {
            "arg" => at_type(text(at, "arg-type")),
            "ret" => at_type(text(at, "ret-type")),
            _ => {
                let members = at.get("members").and_then(Value::as_array).into_iter().flatten();
                let found = members.into_iter().find(|entry| text(entry, "name") == Some(step));
                at_type(found.and_then(|entry| text(entry, "type")))
            }
        }
    }

    /// The type of a list's elements, any other type itself.
    fn element_of(&self, entry: &'v Value) -> &'v Value {
        let element = || self.entries.get(text(entry, "element-type")?).copied();
        if text(entry, "meta-type") == Some("array") {
            return element().unwrap_or(entry);
        }
        entry
    }
}

/// Where a step leads.
enum Step<'v> {
    /// To a type.
    To(&'v Value),
    /// To something that has no type.
    End,
    /// Nowhere.
    Missing,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths() {
        let reply = json!([
            {"name": "add", "meta-type": "command", "arg-type": "1", "ret-type": "[3]",
             "features": ["json"]},
            {"name": "1", "meta-type": "object", "tag": "driver",
             "members": [{"name": "driver", "type": "2"}],
             "variants": [{"case": "file", "type": "3"}]},
            {"name": "2", "meta-type": "enum", "values": ["file"]},
            {"name": "3", "meta-type": "object", "members": [{"name": "aio", "type": "2"}]},
            {"name": "[3]", "meta-type": "array", "element-type": "3"},
            {"name": "loop", "meta-type": "array", "element-type": "loop"},
            {"meta-type": "object"}, 7
        ]);
        let schema = Schema::new(Some(&reply));
        assert!(schema.has_command("add") && !schema.has_command("1"));
        for path in [
            "add",
            "add/!json",
            "add/arg/driver",
            "add/arg/driver/=file",
            "add/arg/@file/aio/=file",
            "add/ret/aio",
        ] {
            assert!(schema.has_path(path), "{path}");
        }
        for path in
            ["del", "add/!xml", "add/arg/@nbd", "add/arg/@file/tls", "add/ret/aio/=nbd", "add/arg/"]
        {
            assert!(!schema.has_path(path), "{path}");
        }
    }
}
