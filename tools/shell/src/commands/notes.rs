//! What users note in a definition: `desc` and `metadata` of domains and networks.
//!
//! virsh: `cmdDesc`, `cmdMetadata`, tools/virsh-domain.c, and their twins in tools/virsh-network.c

use oxivirt::{ErrorCode, MetadataChange, MetadataType};

use crate::args::Args;
use crate::command::OptionDef;
use crate::editor::{self, EditRequest, Verdict};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(super) const TITLE: OptionDef =
    OptionDef::flag("title", mark!("use the title instead of the description"));
pub(super) const EDIT_TEXT: OptionDef =
    OptionDef::flag("edit", mark!("change the text in an editor"));
pub(super) const NEW_DESC: OptionDef =
    OptionDef::list("new-desc", mark!("the new text")).positional().may_be_empty();

pub(super) const URI: OptionDef =
    OptionDef::text("uri", mark!("namespace of the element")).positional().required();
pub(super) const EDIT_ELEMENT: OptionDef =
    OptionDef::flag("edit", mark!("change the element in an editor"));
pub(super) const KEY: OptionDef =
    OptionDef::text("key", mark!("prefix of the namespace in the XML")).accepted();
pub(super) const SET: OptionDef = OptionDef::text("set", mark!("the new element")).accepted();
pub(super) const REMOVE: OptionDef = OptionDef::flag("remove", mark!("remove the element"));

/// What is said about a title or description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// There is none.
    Missing,
    /// The editor changed nothing.
    Unchanged,
    /// It could not be stored.
    Refused,
    /// It was stored.
    Updated,
}

/// An object with a title, a description and custom XML.
pub(super) trait Noted: Sized {
    /// Which definitions a call is for.
    type Scope: Copy;

    /// The code of an answer without value.
    const MISSING: ErrorCode;

    /// Whether the stored text is read before a new one is stored.
    const READS_FIRST: bool;

    /// The object that the command line names.
    fn find(shell: &mut Shell, args: &Args) -> Result<Self, Failure>;

    /// The scope that the command line selects.
    fn scope(args: &Args) -> Result<Self::Scope, Failure>;

    /// The scope to read before a change in `scope`: a driver rejects reading both at once, but not writing
    /// them.
    fn readable(scope: Self::Scope) -> Self::Scope;

    /// A stored value.
    async fn read(
        &self,
        kind: MetadataType,
        uri: Option<&str>,
        scope: Self::Scope,
    ) -> oxivirt::Result<String>;

    /// Stores a value.
    async fn write(&self, change: &MetadataChange<Self::Scope>) -> oxivirt::Result<()>;

    /// The line for what is said about the title or the description.
    fn line(&self, said: Said, kind: MetadataType) -> String;
}

/// The stored value, `None` if there is none.
fn stored<N: Noted>(
    shell: &Shell,
    object: &N,
    (kind, uri): (MetadataType, Option<&str>),
    scope: N::Scope,
) -> Result<Option<String>, Failure> {
    match shell.wait(object.read(kind, uri, scope)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.code() == N::MISSING => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Shows or replaces the description or, with `--title`, the title.
pub(super) fn describe<N: Noted>(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let scope = N::scope(args)?;
    let object = N::find(shell, args)?;
    let is_title = args.flag("title");
    let kind = if is_title { MetadataType::Title } else { MetadataType::Description };
    let words = args.words("new-desc");
    let given =
        (!words.is_empty()).then(|| String::from_utf8_lossy(&words.join(&b' ')).into_owned());
    if given.is_none() && !args.flag("edit") {
        match stored(shell, &object, (kind, None), scope)? {
            Some(text) => shell.ui.print(text)?,
            None => shell.ui.extra(object.line(Said::Missing, kind))?,
        }
        return Ok(());
    }
    let stored = if N::READS_FIRST || args.flag("edit") {
        stored(shell, &object, (kind, None), N::readable(scope))?.unwrap_or_default()
    } else {
        String::new()
    };
    let mut text = given.unwrap_or_else(|| stored.clone());
    if args.flag("edit") {
        text = editor::edit_once(shell, &text)?;
        if text.ends_with('\n') {
            text.pop();
        }
        if text == stored {
            shell.ui.extra(object.line(Said::Unchanged, kind))?;
            return Ok(());
        }
    }
    let (metadata, flags) = (Some(text), scope);
    let change = MetadataChange { kind, metadata, key: None, uri: None, flags };
    shell.wait(object.write(&change)).context(|| object.line(Said::Refused, kind))?;
    shell.ui.extra(object.line(Said::Updated, kind))?;
    Ok(())
}

/// Shows or replaces the custom XML of a namespace.
pub(super) fn annotate<N: Noted>(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = N::scope(args)?;
    for (first, second) in [("edit", "set"), ("remove", "set"), ("remove", "edit")] {
        args.exclusive(first, second)?;
    }
    let object = N::find(shell, args)?;
    let uri = args.required("uri")?;
    let key = args.text("key")?;
    let set = args.text("set")?;
    if (set.is_some() || args.flag("edit")) && key.is_none() {
        return Err(Failure::Message(tr!("namespace key is required when modifying metadata")));
    }
    let kind = MetadataType::Element;
    let change = |metadata| {
        let (key, uri) = (key.clone(), Some(uri.clone()));
        MetadataChange { kind, metadata, key, uri, flags }
    };
    if set.is_some() {
        shell.wait(object.write(&change(set)))?;
        shell.ui.extra(tr!("Metadata modified\n"))?;
    } else if args.flag("remove") {
        let removal = MetadataChange { key: None, ..change(None) };
        match shell.wait(object.write(&removal)) {
            Err(error) if error.code() != N::MISSING => return Err(error.into()),
            _ => shell.ui.extra(tr!("Metadata removed\n"))?,
        }
    } else if args.flag("edit") {
        let fetch = |shell: &mut Shell| {
            let element = stored(shell, &object, (kind, Some(&uri)), flags)?;
            Ok(element.unwrap_or_else(|| "\n".to_owned()))
        };
        let apply = |shell: &mut Shell, text: &str| {
            Ok(shell.wait(object.write(&change(Some(text.to_owned()))))?)
        };
        match editor::edit(shell, &EditRequest { fetch: &fetch, apply: &apply, preview: None })? {
            Verdict::Unchanged => shell.ui.extra(tr!("Metadata not changed"))?,
            Verdict::Applied(()) => shell.ui.extra(tr!("Metadata modified\n"))?,
        }
    } else {
        let element = stored(shell, &object, (kind, Some(&uri)), flags)?.unwrap_or_default();
        shell.ui.print(format!("{element}\n"))?;
    }
    Ok(())
}
