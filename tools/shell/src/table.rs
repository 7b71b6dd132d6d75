//! Text tables in virsh's layout, and labelled fields.
//!
//! virsh: tools/vsh-table.c

use unicode_width::UnicodeWidthChar as _;

use crate::failure::Failure;
use crate::shell::Shell;

/// A header and rows of cells.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Cell {
    text: String,
    width: usize,
}

impl Cell {
    fn new(text: &str) -> Self {
        let mut shown = String::with_capacity(text.len());
        let mut width = 0;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            // a backslash that looks like the start of an escape is escaped
            if is_unprintable(c) || rest.starts_with("\\x") {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    shown.push_str(&format!("\\x{byte:02x}"));
                    width += 4;
                }
            } else {
                shown.push(c);
                width += c.width().unwrap_or(0);
            }
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        Self { text: shown, width }
    }
}

fn is_unprintable(c: char) -> bool {
    // the C library classifies line and paragraph separators as control characters
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

impl Table {
    /// A table with these column titles.
    pub(crate) fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the header's are dropped.
    pub(crate) fn push(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        let cells = cells.into_iter().take(self.header.len());
        self.rows.push(cells.map(|cell| Cell::new(cell.as_ref())).collect());
    }

    /// The table with its header and the rule below it.
    pub(crate) fn render(&self) -> String {
        let header: Vec<Cell> = self.header.iter().map(|title| Cell::new(title)).collect();
        let widths = self.widths(Some(&header));
        let mut text = String::new();
        push_row(&mut text, &header, &widths);
        let rule = widths.iter().map(|width| width + 3).sum();
        text.extend(std::iter::repeat_n('-', rule));
        text.push('\n');
        self.push_rows(&mut text, &widths);
        text
    }

    /// The rows alone.
    pub(crate) fn render_quiet(&self) -> String {
        let mut text = String::new();
        self.push_rows(&mut text, &self.widths(None));
        text
    }

    fn widths(&self, header: Option<&Vec<Cell>>) -> Vec<usize> {
        let mut widths = vec![0; self.header.len()];
        for row in self.rows.iter().chain(header) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width.max(*width);
            }
        }
        widths
    }

    fn push_rows(&self, text: &mut String, widths: &[usize]) {
        for row in &self.rows {
            push_row(text, row, widths);
        }
    }
}

/// Padding precedes a cell, so the last cell of a row is not padded.
fn push_row(text: &mut String, row: &[Cell], widths: &[usize]) {
    let mut padding = 0;
    for (cell, width) in row.iter().zip(widths) {
        text.extend(std::iter::repeat_n(' ', padding + 1));
        text.push_str(&cell.text);
        padding = width - cell.width + 2;
    }
    text.push('\n');
}

/// Prints a table, without its header under `-q`.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn print_table(shell: &mut Shell, table: &Table) -> Result<(), Failure> {
    let text = if shell.ui.is_quiet() { table.render_quiet() } else { table.render() };
    shell.ui.print(text)?;
    Ok(())
}

/// Columns that a terminal needs for `text`.
pub(crate) fn display_width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Prints one line per field: the label padded to `width` columns, and the value.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn print_fields(
    shell: &mut Shell,
    width: usize,
    fields: &[(String, String)],
) -> Result<(), Failure> {
    let width = fields.iter().map(|(label, _)| display_width(label)).max().unwrap_or(0).max(width);
    for (label, value) in fields {
        let padding = " ".repeat(width - display_width(label));
        shell.ui.print(format!("{label}{padding} {value}\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: &[&[&str]], expect: &str) {
        let mut table = Table::new(["Name", "State"]);
        for row in rows {
            table.push(*row);
        }
        assert_eq!(table.render(), expect);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        check(&[], " Name   State\n---------------\n");
        check(
            &[&["default", "active"], &["b", "x"]],
            " Name      State\n-------------------\n default   active\n b         x\n",
        );
        check(&[&["b", ""]], " Name   State\n---------------\n b      \n");
    }

    #[test]
    fn without_header_only_rows_count() {
        let mut table = Table::new(["Expiry Time", "MAC address"]);
        assert_eq!(table.render_quiet(), "");
        table.push(["1", "22"]);
        table.push(["333", "4"]);
        assert_eq!(table.render_quiet(), " 1     22\n 333   4\n");
    }

    #[test]
    fn width_is_what_a_terminal_shows() {
        #[track_caller]
        fn check(text: &str, shown: &str, width: usize) {
            let cell = Cell::new(text);
            assert_eq!((cell.text.as_str(), cell.width), (shown, width));
        }
        check("漢字", "漢字", 4);
        check("e\u{301}", "e\u{301}", 1);
        check("a\u{200b}b", "a\u{200b}b", 2);
        check("tab\there", "tab\\x09here", 11);
        check("\u{7f}", "\\x7f", 4);
        check("\u{9b}", "\\xc2\\x9b", 8);
        check("a\\xb", "a\\x5cxb", 7);
        check("a\\b", "a\\b", 3);
    }
}
