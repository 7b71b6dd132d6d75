//! The document type declaration, of which only internal entities matter, and references.
//!
//! Element, attribute-list and notation declarations are passed over; nothing outside of the
//! text is ever read. What entities expand to is counted and bounded.

use std::collections::BTreeMap;

use super::chars::is_char;
use super::error::XmlError;
use super::error::XmlErrorKind::{self, Syntax};
use super::reader::{Blanks, Reader, Result};

/// The most text all entity references of a document may expand to, in bytes.
const MAX_EXPANSION: usize = 1_000_000;

/// How deep entities may refer to one another.
const MAX_NESTING: usize = 20;

/// Where a reference stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Attribute,
    Content,
}

/// The general entities of one document.
#[derive(Debug, Default)]
pub(super) struct Entities {
    declared: BTreeMap<String, Entity>,
    expanded: usize,
    /// Names being expanded, outermost first.
    open: Vec<String>,
}

#[derive(Debug, Clone)]
enum Entity {
    Internal(String),
    /// Never read: has no text.
    External,
}

impl<'i> Reader<'i> {
    /// The declaration after `<!DOCTYPE`.
    pub(super) fn doctype(&mut self) -> Result<()> {
        self.skip_blanks();
        if self.name().is_none() {
            return self.syntax("xmlParseDocTypeDecl : no DOCTYPE name !");
        }
        self.skip_blanks();
        self.external_id()?;
        self.skip_blanks();
        if self.eat("[") {
            self.internal_subset()?;
            self.skip_blanks();
        }
        if self.eat(">") { Ok(()) } else { self.syntax("DOCTYPE improperly terminated") }
    }

    fn internal_subset(&mut self) -> Result<()> {
        loop {
            self.misc()?;
            if self.eat("]") {
                return Ok(());
            } else if self.eat("<!ENTITY") {
                self.entity_declaration()?;
            } else if self.starts_with("<!") {
                self.skip_declaration()?;
            } else if self.eat("%") && self.name().is_some() && self.eat(";") {
                // A parameter entity could only declare more; what is then missing is an error.
            } else {
                return self.syntax("xmlParseInternalSubset: error detected in Markup declaration");
            }
        }
    }

    /// `SYSTEM 'uri'` or `PUBLIC 'id' 'uri'`; whether there was one.
    fn external_id(&mut self) -> Result<bool> {
        let literals = match () {
            () if self.eat("SYSTEM") => 1,
            () if self.eat("PUBLIC") => 2,
            () => return Ok(false),
        };
        for _ in 0..literals {
            self.skip_blanks();
            self.literal()?;
        }
        Ok(true)
    }

    fn literal(&mut self) -> Result<&'i str> {
        let quote = match self.peek() {
            Some(b'"') => '"',
            Some(b'\'') => '\'',
            _ => return self.syntax("SystemLiteral \" or ' expected"),
        };
        self.pos += 1;
        let start = self.pos;
        let Some(length) = self.rest().find(quote) else {
            return self.syntax("Unfinished System or Public ID \" or ' expected");
        };
        self.pos += length + 1;
        Ok(self.slice(start, start + length))
    }

    fn entity_declaration(&mut self) -> Result<()> {
        if self.skip_blanks() == 0 {
            return self.syntax("Space required after '<!ENTITY'");
        }
        let parameter = self.eat("%");
        self.skip_blanks();
        let Some(name) = self.name() else {
            return self.syntax("xmlParseEntityDecl: no name");
        };
        if self.skip_blanks() == 0 {
            return self.syntax("Space required after the entity name");
        }
        let entity = if self.external_id()? {
            self.skip_blanks();
            if self.eat("NDATA") {
                self.skip_blanks();
                self.name();
            }
            Entity::External
        } else {
            Entity::Internal(self.entity_value()?)
        };
        self.skip_blanks();
        if !self.eat(">") {
            return self.fail(XmlErrorKind::EntityDeclaration { name: name.to_owned() });
        }
        if !parameter {
            self.entities.declared.entry(name.to_owned()).or_insert(entity);
        }
        Ok(())
    }

    /// A literal in which character references are resolved and entity references are kept.
    fn entity_value(&mut self) -> Result<String> {
        let start = self.pos;
        let literal = self.literal()?;
        let end = std::mem::replace(&mut self.pos, start + 1);
        let mut value = String::with_capacity(literal.len());
        while self.pos + 1 < end {
            match self.peek() {
                Some(b'&') if self.starts_with("&#") => value.push(self.char_reference()?),
                Some(b'%') => return self.syntax("PEReference forbidden in internal subset"),
                Some(byte) => {
                    let from = self.pos;
                    self.step(byte, |_| Syntax("invalid character in entity value"))?;
                    value.push_str(self.slice(from, self.pos));
                }
                None => break,
            }
        }
        self.pos = end;
        Ok(value)
    }

    /// Passes over a declaration that has no effect here.
    fn skip_declaration(&mut self) -> Result<()> {
        let mut quote = None;
        while let Some(byte) = self.peek() {
            match (byte, quote) {
                (b'>', None) => {
                    self.pos += 1;
                    return Ok(());
                }
                (b'"' | b'\'', None) => quote = Some(byte),
                (_, Some(open)) if open == byte => quote = None,
                _ => {}
            }
            self.step(byte, |_| Syntax("invalid character in declaration"))?;
        }
        self.syntax("xmlParseInternalSubset: error detected in Markup declaration")
    }

    /// Resolves the reference at `&` and appends what it stands for.
    pub(super) fn reference(&mut self, out: &mut String, context: Use) -> Result<()> {
        if self.starts_with("&#") {
            out.push(self.char_reference()?);
            return Ok(());
        }
        self.pos += 1;
        let Some(name) = self.name() else {
            return self.syntax("xmlParseEntityRef: no name");
        };
        if !self.eat(";") {
            return self.syntax("EntityRef: expecting ';'");
        }
        match name {
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            "amp" => out.push('&'),
            "apos" => out.push('\''),
            "quot" => out.push('"'),
            _ => self.expand(name, out, context)?,
        }
        Ok(())
    }

    fn char_reference(&mut self) -> Result<char> {
        self.pos += 2;
        let radix = if self.eat("x") { 16 } else { 10 };
        let mut value: u32 = 0;
        while let Some(byte) = self.peek().filter(|&byte| byte != b';') {
            let Some(digit) = char::from(byte).to_digit(radix) else {
                return self.syntax(if radix == 16 {
                    "CharRef: invalid hexadecimal value"
                } else {
                    "CharRef: invalid decimal value"
                });
            };
            value = value.saturating_mul(radix).saturating_add(digit).min(0x11_0000);
            self.pos += 1;
        }
        self.eat(";");
        match char::from_u32(value).filter(|&c| is_char(c)) {
            Some(c) => Ok(c),
            None => self.fail(XmlErrorKind::CharReference { value }),
        }
    }

    fn expand(&mut self, name: &str, out: &mut String, context: Use) -> Result<()> {
        let replacement = match self.entities.declared.get(name) {
            None => {
                return self.fail(XmlErrorKind::UndefinedEntity { name: name.to_owned() });
            }
            Some(Entity::External) if context == Use::Content => return Ok(()),
            Some(Entity::External) => {
                return self.fail(XmlErrorKind::ExternalEntity { name: name.to_owned() });
            }
            Some(Entity::Internal(text)) => text.clone(),
        };
        if context == Use::Attribute && replacement.contains('<') {
            return self.fail(XmlErrorKind::MarkupInAttribute { name: name.to_owned() });
        }
        self.entities.expanded += replacement.len() + 1;
        if self.entities.expanded > MAX_EXPANSION {
            return self.fail(XmlErrorKind::Amplification);
        }
        let looping = self.entities.open.iter().any(|open| open == name);
        if looping || self.entities.open.len() >= MAX_NESTING {
            return self.fail(XmlErrorKind::EntityLoop);
        }
        self.entities.open.push(name.to_owned());
        let expanded = self.replacement_text(&replacement, context);
        self.entities.open.pop();
        out.push_str(&expanded?);
        Ok(())
    }

    /// The character data of an entity's replacement text, its own references resolved.
    fn replacement_text(&mut self, replacement: &str, context: Use) -> Result<String> {
        // The inner reader borrows the replacement, so the table moves there and back by value.
        let entities = std::mem::take(&mut self.entities);
        let wrapped;
        let (text, enclosed) = if replacement.contains('<') {
            wrapped = format!("<entity>{replacement}</entity>");
            (wrapped.as_str(), true)
        } else {
            (replacement, false)
        };
        let mut inner = Reader::new(text, Blanks::Keep, entities);
        let result = if enclosed {
            inner.element().map(|element| element.text().into_owned())
        } else {
            inner.plain_text(context)
        };
        self.entities = inner.entities;
        // Positions inside an entity mean nothing to who wrote the document: the reference does.
        result.map_err(|error| XmlError::new(error.kind().clone(), self.text, self.pos))
    }

    fn plain_text(&mut self, context: Use) -> Result<String> {
        let mut out = String::new();
        while let Some(byte) = self.peek() {
            let start = self.pos;
            match byte {
                b'&' => self.reference(&mut out, context)?,
                b'\t' | b'\n' | b'\r' if context == Use::Attribute => {
                    self.pos += 1;
                    out.push(' ');
                }
                _ => {
                    self.step(byte, |_| Syntax("invalid character in entity"))?;
                    out.push_str(self.slice(start, self.pos));
                }
            }
        }
        Ok(out)
    }
}
