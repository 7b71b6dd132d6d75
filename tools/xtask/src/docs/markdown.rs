//! A Markdown page, taken apart.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Its path below the workspace.
    pub(crate) name: String,
    pub(super) spans: Vec<Span>,
    pub(super) links: Vec<Link>,
    pub(crate) blocks: Vec<Block>,
    /// Anchors of the headings, as Git hosts make them.
    pub(super) anchors: Vec<String>,
    /// Cells of all tables, header rows left out.
    pub(super) rows: Vec<Row>,
}

/// Code in running text.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) line: usize,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) target: String,
}

/// A fenced block, or a comment `<!-- run` with commands that a reader does not see.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Of its first line.
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
    /// What the comment above it says.
    pub(crate) note: Note,
}

/// A comment above a block.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// There is none, or it is for readers of the source.
    #[default]
    None,
    /// `<!-- file: NAME -->`: the block is the content of a file.
    File(String),
    /// `<!-- not run: REASON -->`
    NotRun(String),
}

impl Note {
    fn parse(comment: &str) -> Self {
        let text = comment.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
        let Some((keyword, value)) = text.and_then(|text| text.split_once(':')) else {
            return Self::None;
        };
        match keyword.trim() {
            "file" => Self::File(value.trim().to_owned()),
            "not run" => Self::NotRun(value.trim().to_owned()),
            _ => Self::None,
        }
    }
}

/// A row of a table; each cell with its marks removed.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    /// The heading above the table.
    pub(super) section: String,
    pub(super) cells: Vec<Cell>,
}

#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// The pieces of code in it.
    pub(super) code: Vec<String>,
}

/// Where the parser is.
#[derive(Debug, Default)]
struct Position {
    heading: Option<String>,
    section: String,
    block: Option<Block>,
    row: Option<Row>,
    /// Line and text of a comment that is open.
    comment: Option<(usize, String)>,
    /// For the next block.
    note: Note,
}

impl Page {
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut page = Self { name: name.to_owned(), ..Self::default() };
        let mut position = Position::default();
        let starts: Vec<usize> =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = starts.partition_point(|start| *start <= range.start);
            page.event(event, line, &mut position);
        }
        page
    }

    fn event(&mut self, event: Event<'_>, line: usize, position: &mut Position) {
        match event {
            Event::Code(text) => {
                self.spans.push(Span { line, text: text.to_string() });
                position.text(&text);
                if let Some(cell) = position.row.as_mut().and_then(|row| row.cells.last_mut()) {
                    cell.code.push(text.into_string());
                }
            }
            Event::Text(text) => position.text(&text),
            Event::SoftBreak | Event::HardBreak => position.text(" "),
            Event::Start(Tag::HtmlBlock) => position.comment = Some((line, String::new())),
            Event::Html(text) => {
                if let Some((_, comment)) = &mut position.comment {
                    comment.push_str(&text);
                }
            }
            Event::End(TagEnd::HtmlBlock) => self.comment(position),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                self.links.push(Link { line, target: dest_url.into_string() });
            }
            Event::Start(Tag::Paragraph) => position.note = Note::None,
            Event::Start(Tag::Heading { .. }) => position.heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let heading = position.heading.take().unwrap_or_default();
                self.add_anchor(&heading);
                position.section = heading;
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                let language = language.into_string();
                let note = std::mem::take(&mut position.note);
                position.block =
                    Some(Block { line: line + 1, language, text: String::new(), note });
            }
            Event::End(TagEnd::CodeBlock) => self.blocks.extend(position.block.take()),
            Event::Start(Tag::TableRow) => {
                let section = position.section.clone();
                position.row = Some(Row { line, section, cells: Vec::new() });
            }
            Event::Start(Tag::TableCell) => {
                if let Some(row) = &mut position.row {
                    row.cells.push(Cell::default());
                }
            }
            Event::End(TagEnd::TableRow) => self.rows.extend(position.row.take()),
            _ => {}
        }
    }

    /// Ends a comment: commands that are run, or a note to the next block.
    fn comment(&mut self, position: &mut Position) {
        let Some((line, comment)) = position.comment.take() else { return };
        let commands = comment.trim_end().strip_prefix("<!-- run\n");
        match commands.and_then(|text| text.strip_suffix("-->")) {
            Some(text) => {
                let language = String::from("sh");
                let text = text.to_owned();
                self.blocks.push(Block { line: line + 1, language, text, note: Note::None });
            }
            None => position.note = Note::parse(&comment),
        }
    }

    /// Adds the anchor of a heading, numbered if it is not the first of its text.
    fn add_anchor(&mut self, heading: &str) {
        let anchor: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let same = self.anchors.iter().filter(|other| **other == anchor).count();
        self.anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
    }
}

impl Position {
    fn text(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.push_str(text);
        } else if let Some(block) = &mut self.block {
            block.text.push_str(text);
        } else if let Some(cell) = self.row.as_mut().and_then(|row| row.cells.last_mut()) {
            cell.text.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_notes_and_commands() {
        let page = Page::parse(
            "x.md",
            "<!-- file: a.xml -->\n```xml\n<a/>\n```\n\n<!-- not run: needs ufw -->\n```sh\nufw\n```\n\n\
             <!-- run\nls\n-->\n\n<!-- not run: x -->\n\ntext\n\n```sh\npwd\n```\n",
        );
        let notes: Vec<&Note> = page.blocks.iter().map(|block| &block.note).collect();
        let file = Note::File("a.xml".to_owned());
        let not_run = Note::NotRun("needs ufw".to_owned());
        assert_eq!(notes, [&file, &not_run, &Note::None, &Note::None]);
        assert_eq!((page.blocks[2].line, page.blocks[2].text.as_str()), (12, "ls\n"));
        assert_eq!(page.blocks[3].text, "pwd\n");
    }

    #[test]
    fn page_is_taken_apart() {
        let page = Page::parse(
            "x.md",
            "# A `b` c\n\ntext `code` [l](t.md)\n\n```sh\nls\n```\n\n| h |\n|---|\n| a `x` |\n\n# A b c\n",
        );
        assert_eq!(page.anchors, ["a-b-c", "a-b-c-1"]);
        assert_eq!((page.spans[1].line, page.spans[1].text.as_str()), (3, "code"));
        assert_eq!((page.links[0].line, page.links[0].target.as_str()), (3, "t.md"));
        let block = &page.blocks[0];
        assert_eq!((block.line, block.language.as_str(), block.text.as_str()), (6, "sh", "ls\n"));
        let row = &page.rows[0];
        assert_eq!((row.line, row.section.as_str()), (11, "A b c"));
        assert_eq!(
            (row.cells[0].text.as_str(), &row.cells[0].code[..]),
            ("a x", &["x".to_owned()][..])
        );
    }
}
