//! Reads a document into an element tree.
//!
//! One pass over the bytes with an explicit stack, in the order in which libxml2 looks at
//! things, so that a text with several faults is refused for the same one. Namespace mistakes
//! (an unbound prefix) are not errors: the prefix stays part of the name, as libxml2 has it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::chars::{is_blank, is_name_start};
use super::doctype::{Entities, Use};
use super::error::XmlErrorKind::{self, Syntax};
use super::error::{XmlError, excerpt, line_of};
use super::tree::{Attribute, Element, Instruction, Namespace, Node};

/// The deepest nesting of elements read.
pub const MAX_DEPTH: usize = 256;

/// The largest text read, in bytes.
///
/// libvirt 11.3.0: `virFileReadAll` in `virXMLParseHelper`, src/util/virxml.c
pub const MAX_SIZE: usize = 10 * 1024 * 1024;

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// What happens to text that only separates elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blanks {
    /// Dropped where libxml2 considers it insignificant.
    Drop,
    /// Kept as text.
    Keep,
}

/// Reads `text` as one document and returns its root.
///
/// # Errors
/// [`XmlError`] if the text is not well-formed or exceeds [`MAX_DEPTH`], [`MAX_SIZE`] or the bound on
/// entity expansion.
pub fn parse(text: &str, blanks: Blanks) -> Result<Element<'_>, XmlError> {
    if text.len() > MAX_SIZE {
        return Err(XmlError::new(XmlErrorKind::TooLarge { limit: MAX_SIZE }, text, 0));
    }
    Reader::new(text, blanks, Entities::default())
        .document()
        .map_err(|error| error.or_noncharacter(text))
}

/// The text of a document as it lies in a file: its bytes are UTF-8 whatever it declares.
///
/// # Errors
/// [`XmlErrorKind::NotUtf8`] at the first byte that is not part of a character.
///
/// libxml2: `xmlCurrentChar`, parserInternals.c
pub fn decode(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let bad = bytes.get(at..).unwrap_or_default();
        let bad = bad.get(..4).unwrap_or(bad).to_vec();
        let shown = String::from_utf8_lossy(bytes);
        // What precedes the place is UTF-8, so it has the same offset in the text shown.
        XmlError::new(XmlErrorKind::NotUtf8 { bytes: bad }, &shown, at)
    })
}

pub(super) type Result<T, E = XmlError> = std::result::Result<T, E>;

#[derive(Debug)]
pub(super) struct Reader<'i> {
    pub(super) text: &'i str,
    pub(super) pos: usize,
    blanks: Blanks,
    pub(super) entities: Entities,
    /// What each prefix means, innermost last; the default namespace has the empty prefix.
    scope: BTreeMap<&'i str, Vec<Arc<str>>>,
}

/// An element whose end tag is still to come.
#[derive(Debug)]
struct Open<'i> {
    element: Element<'i>,
    /// The name as written, prefix included.
    tag: &'i str,
    /// Offset of its `<`.
    start: usize,
    /// Set once a text that begins with a blank was kept: every later blank is then content.
    mixed: bool,
}

impl<'i> Open<'i> {
    /// Adds content; adjacent CDATA sections become one, as in libxml2's tree.
    fn push(&mut self, node: Node<'i>) {
        if let (Some(Node::CData(before)), Node::CData(text)) =
            (self.element.nodes.last_mut(), &node)
        {
            before.to_mut().push_str(text);
            return;
        }
        self.element.nodes.push(node);
    }
}

impl<'i> Reader<'i> {
    pub(super) const fn new(text: &'i str, blanks: Blanks, entities: Entities) -> Self {
        Self { text, pos: 0, blanks, entities, scope: BTreeMap::new() }
    }

    fn document(mut self) -> Result<Element<'i>> {
        if self.text.is_empty() {
            return self.fail(XmlErrorKind::Empty);
        }
        self.eat("\u{feff}");
        if self.starts_with("<?xml") && self.byte_at(5).is_some_and(is_blank) {
            self.pos += "<?xml".len();
            self.declaration()?;
        }
        self.misc()?;
        if self.eat("<!DOCTYPE") {
            self.doctype()?;
            self.misc()?;
        }
        if self.peek() != Some(b'<') {
            return self.syntax("Start tag expected, '<' not found");
        }
        let root = self.element()?;
        self.misc()?;
        if self.pos < self.text.len() {
            return self.syntax("Extra content at the end of the document");
        }
        Ok(root)
    }

    /// Comments, processing instructions and blanks outside of the root.
    pub(super) fn misc(&mut self) -> Result<()> {
        loop {
            self.skip_blanks();
            if self.eat("<!--") {
                self.comment()?;
            } else if self.eat("<?") {
                self.instruction()?;
            } else {
                return Ok(());
            }
        }
    }

    /// One element with everything in it; `pos` is at its `<`.
    pub(super) fn element(&mut self) -> Result<Element<'i>> {
        let mut stack: Vec<Open<'i>> = Vec::new();
        if let Some(element) = self.start_tag(&mut stack)? {
            return Ok(element);
        }
        loop {
            let node = match self.peek() {
                None => return self.premature_end(&stack),
                Some(b'<') if self.eat("</") => {
                    let element = self.end_tag(&mut stack)?;
                    if stack.is_empty() {
                        return Ok(element);
                    }
                    Some(Node::Element(Box::new(element)))
                }
                Some(b'<') if self.eat("<!--") => Some(Node::Comment(self.comment()?)),
                Some(b'<') if self.eat("<![CDATA[") => Some(Node::CData(self.cdata()?)),
                Some(b'<') if self.eat("<?") => {
                    Some(Node::Instruction(Box::new(self.instruction()?)))
                }
                Some(b'<') => self.start_tag(&mut stack)?.map(Box::new).map(Node::Element),
                Some(_) => match stack.last_mut() {
                    Some(open) => self.text(open)?.map(Node::Text),
                    None => None,
                },
            };
            if let (Some(node), Some(open)) = (node, stack.last_mut()) {
                open.push(node);
            }
        }
    }

    fn premature_end<T>(&self, stack: &[Open<'i>]) -> Result<T> {
        let Some(open) = stack.last() else {
            return self.syntax("Premature end of data");
        };
        let line = line_of(self.text, open.start);
        self.fail(XmlErrorKind::PrematureEnd { open: local(open.tag).to_owned(), line })
    }

    /// Reads a start tag: returns the element if it is empty, else puts it on the stack.
    fn start_tag(&mut self, stack: &mut Vec<Open<'i>>) -> Result<Option<Element<'i>>> {
        let start = self.pos;
        if stack.len() > MAX_DEPTH {
            return self.fail(XmlErrorKind::TooDeep { depth: stack.len() });
        }
        self.pos += 1;
        let Some(tag) = self.name() else {
            return self.syntax("StartTag: invalid element name");
        };
        self.skip_blanks();
        let mut attributes: Vec<(&'i str, Cow<'i, str>)> = Vec::new();
        while !matches!(self.peek(), None | Some(b'>')) && !self.starts_with("/>") {
            if self.byte_at(0).is_some_and(|byte| byte < b' ') {
                break;
            }
            attributes.push(self.attribute()?);
            if self.peek() == Some(b'>') || self.starts_with("/>") {
                break;
            }
            if self.skip_blanks() == 0 {
                return self.syntax("attributes construct error");
            }
        }
        self.check_duplicates(&attributes)?;
        let element = self.resolve(tag, attributes);
        if self.eat("/>") {
            self.leave_scope(&element);
            return Ok(Some(element));
        }
        if !self.eat(">") {
            let line = line_of(self.text, start);
            return self.fail(XmlErrorKind::StartTagEnd { name: local(tag).to_owned(), line });
        }
        stack.push(Open { element, tag, start, mixed: false });
        Ok(None)
    }

    fn attribute(&mut self) -> Result<(&'i str, Cow<'i, str>)> {
        let Some(name) = self.name() else {
            return self.syntax("error parsing attribute name");
        };
        self.skip_blanks();
        if !self.eat("=") {
            let name = local(name).to_owned();
            return self.fail(XmlErrorKind::AttributeValue { name });
        }
        self.skip_blanks();
        Ok((name, self.attribute_value()?))
    }

    fn check_duplicates(&self, raw: &[(&'i str, Cow<'i, str>)]) -> Result<()> {
        // Elements have a handful of attributes; beyond that a sorted copy keeps hostile ones cheap.
        let duplicate = if raw.len() <= 16 {
            let earlier = |at: usize, name| raw.iter().take(at).any(|(other, _)| *other == name);
            raw.iter().enumerate().find(|&(at, &(name, _))| earlier(at, name)).map(|(_, a)| a.0)
        } else {
            let mut names: Vec<&str> = raw.iter().map(|&(name, _)| name).collect();
            names.sort_unstable();
            names.windows(2).find_map(|pair| match pair {
                [a, b] if a == b => Some(*a),
                _ => None,
            })
        };
        duplicate
            .map_or(Ok(()), |name| self.fail(XmlErrorKind::Redefined { name: name.to_owned() }))
    }

    /// Makes the element: its declarations take effect first, then names get their namespaces.
    fn resolve(&mut self, tag: &'i str, attributes: Vec<(&'i str, Cow<'i, str>)>) -> Element<'i> {
        let mut element = Element::new("");
        let (declarations, attributes): (Vec<_>, Vec<_>) = attributes
            .into_iter()
            .partition(|(name, _)| *name == "xmlns" || name.starts_with("xmlns:"));
        for (name, uri) in declarations {
            self.declare(name.strip_prefix("xmlns:"), &uri, &mut element);
        }
        let (prefix, name, namespace) = match self.bound(tag) {
            Some((prefix, local, uri)) => (Some(Cow::Borrowed(prefix)), local, Some(uri)),
            None if tag.contains(':') => (None, tag, None),
            None => (None, tag, self.lookup("").filter(|uri| !uri.is_empty())),
        };
        (element.prefix, element.name, element.namespace) =
            (prefix, Cow::Borrowed(name), namespace);
        element.attributes.reserve_exact(attributes.len());
        for (name, value) in attributes {
            let (prefix, name, namespace) = match self.bound(name) {
                Some((prefix, local, uri)) => (Some(Cow::Borrowed(prefix)), local, Some(uri)),
                None => (None, name, None),
            };
            let name = Cow::Borrowed(name);
            element.attributes.push(Attribute { name, prefix, namespace, value });
        }
        element
    }

    fn declare(&mut self, prefix: Option<&'i str>, uri: &str, element: &mut Element<'i>) {
        // A prefix cannot be undone, and those of the standard cannot be taken.
        if matches!(prefix, Some("" | "xml" | "xmlns")) || (prefix.is_some() && uri.is_empty()) {
            return;
        }
        let uri: Arc<str> = uri.into();
        self.scope.entry(prefix.unwrap_or_default()).or_default().push(Arc::clone(&uri));
        element.declarations.push(Namespace { prefix: prefix.map(Cow::Borrowed), uri });
    }

    fn leave_scope(&mut self, element: &Element<'i>) {
        for declaration in &element.declarations {
            let prefix = declaration.prefix.as_deref().unwrap_or_default();
            if let Some(meanings) = self.scope.get_mut(prefix) {
                meanings.pop();
            }
        }
    }

    /// A name whose prefix means something, taken apart.
    fn bound(&self, name: &'i str) -> Option<(&'i str, &'i str, Arc<str>)> {
        let (prefix, local) = split_name(name)?;
        Some((prefix, local, self.lookup(prefix)?))
    }

    fn lookup(&self, prefix: &str) -> Option<Arc<str>> {
        match self.scope.get(prefix).and_then(|meanings| meanings.last()) {
            None if prefix == "xml" => Some(XML_NAMESPACE.into()),
            found => found.cloned(),
        }
    }

    /// Reads the rest of an end tag and returns the element it closes.
    fn end_tag(&mut self, stack: &mut Vec<Open<'i>>) -> Result<Element<'i>> {
        let close = self.name();
        self.skip_blanks();
        if !self.eat(">") {
            return self.syntax("expected '>'");
        }
        let Some(open) = stack.pop() else {
            return self.syntax("Extra content at the end of the document");
        };
        if close != Some(open.tag) {
            return self.fail(XmlErrorKind::TagMismatch {
                open: local(open.tag).to_owned(),
                line: line_of(self.text, open.start),
                close: close.unwrap_or("unparsable").to_owned(),
            });
        }
        self.leave_scope(&open.element);
        Ok(open.element)
    }

    fn attribute_value(&mut self) -> Result<Cow<'i, str>> {
        let Some(quote @ (b'"' | b'\'')) = self.peek() else {
            return self.syntax("AttValue: \" or ' expected");
        };
        self.pos += 1;
        let start = self.pos;
        let mut value: Option<String> = None;
        let mut copied = start;
        loop {
            match self.peek() {
                None => return self.syntax("AttValue: ' expected"),
                Some(byte) if byte == quote => break,
                Some(b'<') => {
                    return self.syntax("Unescaped '<' not allowed in attributes values");
                }
                Some(byte @ (b'\t' | b'\n' | b'\r')) => {
                    let out = value.get_or_insert_default();
                    out.push_str(self.slice(copied, self.pos));
                    out.push(' ');
                    self.pos += 1;
                    if byte == b'\r' {
                        self.eat("\n");
                    }
                    copied = self.pos;
                }
                Some(b'&') => {
                    let head = self.slice(copied, self.pos);
                    let out = value.get_or_insert_default();
                    out.push_str(head);
                    self.reference(out, Use::Attribute)?;
                    copied = self.pos;
                }
                Some(byte) => {
                    self.step(byte, |_| Syntax("invalid character in attribute value"))?;
                }
            }
        }
        let tail = self.slice(copied, self.pos);
        self.pos += 1;
        Ok(match value {
            Some(value) => Cow::Owned(value + tail),
            None => Cow::Borrowed(tail),
        })
    }

    /// Character data up to the next markup; nothing if it is an insignificant blank.
    fn text(&mut self, open: &mut Open<'i>) -> Result<Option<Cow<'i, str>>> {
        let start = self.pos;
        let mut text: Option<String> = None;
        let mut copied = start;
        let mut blank = true;
        while let Some(byte) = self.peek() {
            match byte {
                b'<' => break,
                b'&' => {
                    blank = false;
                    let head = self.slice(copied, self.pos);
                    let out = text.get_or_insert_default();
                    out.push_str(head);
                    self.reference(out, Use::Content)?;
                    copied = self.pos;
                }
                b'\r' => {
                    let out = text.get_or_insert_default();
                    out.push_str(self.slice(copied, self.pos));
                    out.push('\n');
                    self.pos += 1;
                    self.eat("\n");
                    copied = self.pos;
                }
                b']' if self.starts_with("]]>") => {
                    return self.syntax("Sequence ']]>' not allowed in content");
                }
                _ => {
                    blank = blank && is_blank(byte);
                    self.step(byte, |value| XmlErrorKind::CharacterData { value })?;
                }
            }
        }
        if self.blanks == Blanks::Drop && blank && self.is_insignificant(open) {
            return Ok(None);
        }
        open.mixed |= self.text.as_bytes().get(start).copied().is_some_and(is_blank);
        let tail = self.slice(copied, self.pos);
        Ok(Some(match text {
            Some(text) => Cow::Owned(text + tail),
            None => Cow::Borrowed(tail),
        }))
    }

    /// Whether a blank text at this place separates elements only.
    ///
    /// libxml2: `areBlanks`, parser.c
    fn is_insignificant(&self, open: &Open<'i>) -> bool {
        let is_text = |node: &Node<'_>| matches!(node, Node::Text(_));
        let nodes = &open.element.nodes;
        let lone = nodes.is_empty() && self.starts_with("</");
        let ends = [nodes.first(), nodes.last()];
        !(open.mixed || lone || ends.into_iter().flatten().any(is_text))
    }

    /// A comment after its opening; returns what is inside.
    pub(super) fn comment(&mut self) -> Result<Cow<'i, str>> {
        let start = self.pos;
        while let Some(byte) = self.peek() {
            if self.starts_with("--") {
                let text = self.slice(start, self.pos);
                if self.eat("-->") {
                    return Ok(normalize_lines(text));
                }
                return self.fail(XmlErrorKind::DoubleHyphen { text: excerpt(text) });
            }
            self.step(byte, |value| XmlErrorKind::CommentCharacter { value })?;
        }
        let text = self.slice(start, self.pos);
        let text = if text.is_ascii() { "" } else { without_last_two(text) };
        self.fail(XmlErrorKind::Comment { text: excerpt(text) })
    }

    fn cdata(&mut self) -> Result<Cow<'i, str>> {
        let start = self.pos;
        while let Some(byte) = self.peek() {
            let text = self.slice(start, self.pos);
            if self.eat("]]>") {
                return Ok(normalize_lines(text));
            }
            let unfinished = |_| XmlErrorKind::CData { text: excerpt(text) };
            self.step(byte, unfinished)?;
        }
        let text = without_last_two(self.slice(start, self.pos));
        self.fail(XmlErrorKind::CData { text: excerpt(text) })
    }

    /// A processing instruction after its `<?`.
    pub(super) fn instruction(&mut self) -> Result<Instruction<'i>> {
        let Some(target) = self.name() else {
            return self.syntax("xmlParsePI : no target name");
        };
        if target.eq_ignore_ascii_case("xml") {
            return self.syntax(if target == "xml" {
                "XML declaration allowed only at the start of the document"
            } else {
                "Invalid PI name"
            });
        }
        if self.eat("?>") {
            return Ok(Instruction { target: Cow::Borrowed(target), data: None });
        }
        if self.skip_blanks() == 0 {
            return self.fail(XmlErrorKind::InstructionBlank { target: target.to_owned() });
        }
        let unfinished = |_| XmlErrorKind::Instruction { target: target.to_owned() };
        let start = self.pos;
        while let Some(byte) = self.peek() {
            let data = self.slice(start, self.pos);
            if self.eat("?>") {
                let data = Some(normalize_lines(data)).filter(|data| !data.is_empty());
                return Ok(Instruction { target: Cow::Borrowed(target), data });
            }
            self.step(byte, unfinished)?;
        }
        self.fail(unfinished(0))
    }
}

/// libxml2 looks two characters ahead and does not show them when the text ends.
fn without_last_two(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next_back();
    chars.next_back();
    chars.as_str()
}

/// Splits a qualified name, unless a half of it would be no name of its own.
fn split_name(name: &str) -> Option<(&str, &str)> {
    let (prefix, local) = name.split_once(':')?;
    let valid = !prefix.is_empty() && local.chars().next().is_some_and(is_name_start);
    valid.then_some((prefix, local))
}

fn local(tag: &str) -> &str {
    split_name(tag).map_or(tag, |(_, local)| local)
}

/// Every line end becomes a line feed (XML 1.0, 2.11).
fn normalize_lines(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}
