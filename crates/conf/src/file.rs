//! The frame around documents on disk.

/// The command named in a file's heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditCommand {
    /// Definition and status files of guests.
    Edit,
    /// Definition and status files of networks.
    NetEdit,
    /// Port files.
    NetPortCreate,
    /// Definition and state files of storage pools.
    PoolEdit,
}

impl EditCommand {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::NetEdit => "net-edit",
            Self::NetPortCreate => "net-port-create",
            Self::PoolEdit => "pool-edit",
        }
    }
}

/// Characters of a name that would not survive as a word of a shell command inside a comment.
const UNSAFE: &[char] = &[
    '\r', '\t', '\n', ' ', '!', '"', '#', '$', '&', '\'', '(', ')', '*', ';', '<', '>', '?', '[',
    '\\', ']', '^', '`', '{', '|', '}', '~',
];

/// Puts the six-line comment that warns against edits by hand before `document`.
///
/// `name` is the object's name, `fallback` its UUID, which is named instead if the name would break
/// the comment or the command line in it. `document` is kept as it is: definition and port files end
/// in a line feed, status files do not.
///
/// libvirt 11.3.0: `virXMLEmitWarning`, `virXMLPickShellSafeComment`, src/util/virxml.c
#[must_use]
pub fn wrap_file(command: EditCommand, name: &str, fallback: &str, document: &str) -> String {
    let is_safe = !name.contains(UNSAFE) && !name.contains("--");
    let name = if is_safe { name } else { fallback };
    let command = command.as_str();
    format!(
        "<!--\n\
         WARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE\n\
         OVERWRITTEN AND LOST. Changes to this xml configuration should be made using:\n  \
         virsh {command} {name}\n\
         or other application using the libvirt API.\n\
         -->\n\n{document}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expect: &str) {
        let text = wrap_file(EditCommand::NetEdit, name, "UUID", "<a/>\n");
        assert_eq!(text.lines().nth(3), Some(format!("  virsh net-edit {expect}").as_str()));
        assert_eq!(text.lines().skip(4).collect::<Vec<_>>().last(), Some(&"<a/>"));
        assert!(text.ends_with("-->\n\n<a/>\n"));
    }

    #[test]
    fn names() {
        check("default", "default");
        check("a-b", "a-b");
        check("a--b", "UUID");
        check("a b", "UUID");
        check("a%d", "a%d");
        check("é", "é");
    }
}
