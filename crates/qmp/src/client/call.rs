//! One call: from its arguments to its reply.

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::shared::{Answer, Shared};
use crate::command::Command;
use crate::encode::{self, EncodeError};
use crate::error::QmpError;

/// Most descriptors that travel with one command. QEMU: `TCP_MAX_FDS`.
pub(crate) const DESCRIPTORS_MAX: usize = 16;

/// A command ready to be sent.
#[derive(Debug)]
pub struct Request {
    pub(super) name: Cow<'static, str>,
    /// JSON text; empty if there are none. Not for logs: it may hold a password.
    pub(super) arguments: String,
    pub(super) descriptors: Vec<OwnedFd>,
    pub(super) deadline: Option<Duration>,
    pub(super) oob: bool,
}

impl Request {
    /// A typed command.
    ///
    /// # Errors
    /// [`QmpError::Arguments`] if an argument holds a character that QEMU cannot read.
    pub fn new<C: Command>(command: &C) -> Result<Self, QmpError> {
        Self::build(Cow::Borrowed(C::NAME), encode::arguments(command))
    }

    /// A command by name; `arguments` is an object or `null`.
    ///
    /// # Errors
    /// [`QmpError::Arguments`] if they are something else, or the name or an argument holds a character
    /// that QEMU cannot read.
    pub fn raw(name: &str, arguments: &Value) -> Result<Self, QmpError> {
        let checked = encode::check_characters(&Value::from(name).to_string());
        let arguments = checked.and_then(|()| encode::arguments(arguments));
        Self::build(Cow::Owned(name.to_owned()), arguments)
    }

    fn build(
        name: Cow<'static, str>,
        arguments: Result<String, EncodeError>,
    ) -> Result<Self, QmpError> {
        let arguments = arguments.map_err(|error| QmpError::Arguments {
            command: name.clone().into_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { name, arguments, descriptors: Vec::new(), deadline: None, oob: false })
    }

    /// Sets the time for the reply, from submission on.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sends descriptors with the command. They are closed on this side once sent.
    #[must_use]
    pub fn descriptors(mut self, descriptors: Vec<OwnedFd>) -> Self {
        self.descriptors = descriptors;
        self
    }

    /// Executes the command while other commands run (`exec-oob`). QEMU accepts that for few
    /// commands, such as `yank`, and only when [`Monitor::is_oob`](super::Monitor::is_oob).
    #[must_use]
    pub const fn out_of_band(mut self) -> Self {
        self.oob = true;
        self
    }
}

/// A command that is on its way. Dropping it is dropping the call.
#[derive(Debug)]
pub struct Ticket {
    shared: Arc<Shared>,
    id: u64,
    name: Cow<'static, str>,
    receiver: oneshot::Receiver<Answer>,
    submitted: Instant,
    until: Instant,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.abandon(self.id);
    }
}

impl Ticket {
    /// Waits for the reply.
    ///
    /// # Errors
    /// As [`Monitor::run`](super::Monitor::run).
    pub async fn reply<T: DeserializeOwned>(self) -> Result<T, QmpError> {
        let name = self.name.clone();
        let value = self.reply_text().await?;
        serde_json::from_str(value.get())
            .map_err(|source| QmpError::Reply { command: name.into_owned(), source })
    }

    /// Waits for the reply and returns it as JSON text.
    ///
    /// # Errors
    /// As [`Monitor::run`](super::Monitor::run).
    pub async fn reply_text(mut self) -> Result<Box<RawValue>, QmpError> {
        match tokio::time::timeout_at(self.until, &mut self.receiver).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(failure))) => Err(QmpError::Rejected {
                command: self.name.clone().into_owned(),
                class: failure.class,
                description: failure.description,
            }),
            // The sender is dropped when the connection ends, and the reason is recorded before.
            Ok(Err(_)) => Err(self.shared.closed_error()),
            Err(_) => {
                self.shared.deadline_passed(self.id);
                let after = self.until.duration_since(self.submitted);
                tracing::warn!(command = %self.name, ?after, "monitor does not reply");
                Err(QmpError::Timeout { command: self.name.clone().into_owned(), after })
            }
        }
    }
}

/// Waits for a place and queues the request.
pub(super) async fn submit(
    shared: &Arc<Shared>,
    request: Request,
    until: Instant,
) -> Result<Ticket, QmpError> {
    let submitted = Instant::now();
    let name = request.name.clone();
    let descriptors = request.descriptors.len();
    if descriptors > DESCRIPTORS_MAX {
        let reason = format!("{descriptors} descriptors, at most {DESCRIPTORS_MAX} can be sent");
        return Err(QmpError::Arguments { command: name.into_owned(), reason });
    }
    let Ok(place) = tokio::time::timeout_at(until, shared.place()).await else {
        let after = until.duration_since(submitted);
        return Err(QmpError::Timeout { command: name.into_owned(), after });
    };
    let place = place.ok_or_else(|| shared.closed_error())?;
    let (sender, receiver) = oneshot::channel();
    let id = shared.queue(request, sender, place).ok_or_else(|| shared.closed_error())?;
    tracing::trace!(command = %name, id, "command queued");
    Ok(Ticket { shared: Arc::clone(shared), id, name, receiver, submitted, until })
}
