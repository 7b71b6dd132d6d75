//! Events: what QEMU reports on its own.
//!
//! QEMU: qapi/*.json, `event`; which libvirt event each becomes is the driver's concern.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::word::words;

/// Time of an event on the host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
pub struct Timestamp {
    /// Seconds since 1970; −1 if QEMU could not read the clock.
    pub seconds: i64,
    /// Microseconds of the second; −1 if QEMU could not read the clock.
    pub microseconds: i64,
}

/// An event as it was received.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name in capitals, such as `SHUTDOWN`.
    pub name: String,
    /// Its data, not yet interpreted.
    pub data: Option<Box<RawValue>>,
    /// When QEMU sent it.
    pub timestamp: Timestamp,
}

words! {
    /// Why the guest is shut down or reset (`ShutdownCause`).
    ShutdownCause {
        /// No cause known.
        None = "none",
        /// An error of the host.
        HostError = "host-error",
        /// The monitor command `quit`.
        HostQmpQuit = "host-qmp-quit",
        /// The monitor command `system_reset`.
        HostQmpSystemReset = "host-qmp-system-reset",
        /// A signal, such as SIGTERM.
        HostSignal = "host-signal",
        /// The display window was closed.
        HostUi = "host-ui",
        /// The guest powered itself off.
        GuestShutdown = "guest-shutdown",
        /// The guest reset itself.
        GuestReset = "guest-reset",
        /// The guest panicked.
        GuestPanic = "guest-panic",
        /// A reset of a part of the machine.
        SubsystemReset = "subsystem-reset",
        /// The guest resumed from S3 or loaded a snapshot.
        SnapshotLoad = "snapshot-load",
    }

    /// What is done about a failed request of a disk (`BlockErrorAction`).
    BlockErrorAction {
        /// The guest does not learn of it.
        Ignore = "ignore",
        /// The guest gets an error.
        Report = "report",
        /// The guest is stopped.
        Stop = "stop",
    }
}

/// Data of [`EventKind::Shutdown`] and [`EventKind::Reset`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ShutdownData {
    /// Whether the guest asked for it.
    #[serde(default)]
    pub guest: bool,
    /// Why.
    pub reason: Option<ShutdownCause>,
}

/// Data of [`EventKind::DeviceDeleted`] and [`EventKind::DeviceUnplugGuestError`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeviceData {
    /// Id of the device; backends of it have none.
    pub device: Option<String>,
    /// Its path in the object tree.
    pub path: String,
}

/// Data of [`EventKind::DeviceTrayMoved`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TrayData {
    /// Name of the drive; empty without one.
    #[serde(default)]
    pub device: String,
    /// Id of the device.
    #[serde(default)]
    pub id: String,
    /// Whether it is open now.
    #[serde(rename = "tray-open")]
    pub tray_open: bool,
}

/// Data of [`EventKind::BlockIoError`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlockIoErrorData {
    /// Name of the drive; empty if it has none.
    #[serde(default)]
    pub device: String,
    /// Device path, since QEMU 9.2.
    pub qom_path: Option<String>,
    /// Node that the request went to.
    pub node_name: Option<String>,
    /// `read` or `write`.
    pub operation: String,
    /// What QEMU does about it.
    pub action: BlockErrorAction,
    /// Whether the storage is full.
    #[serde(default)]
    pub nospace: bool,
    /// The error for people.
    #[serde(default)]
    pub reason: String,
}

/// Data of [`EventKind::VserportChange`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VserportData {
    /// Id of the port's device.
    pub id: String,
    /// Whether the guest has the port open.
    pub open: bool,
}

/// Data of [`EventKind::BlockJob`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BlockJobData {
    /// Kind of the job, such as `commit`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Id of the job.
    pub device: String,
    /// Bytes in all.
    #[serde(default)]
    pub len: u64,
    /// Bytes done.
    #[serde(default)]
    pub offset: u64,
    /// Error of a job that failed.
    pub error: Option<String>,
}

/// Data of [`EventKind::JobStatusChange`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobStatusData {
    /// Id of the job.
    pub id: String,
    /// Its state now, such as `concluded`.
    pub status: String,
}

/// Data of [`EventKind::VncClient`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VncData {
    /// The server: address, authentication.
    pub server: Value,
    /// The client: address and, once it has authenticated, its names.
    pub client: Value,
}

/// Phase of a graphics connection (`virConnectDomainEventGraphicsPhase`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphicsPhase {
    /// The connection is accepted.
    Connected,
    /// Authentication is complete.
    Initialized,
    /// The connection is closed.
    Disconnected,
}

/// Which block job event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockJobPhase {
    /// The job can be completed.
    Ready,
    /// The job is done.
    Completed,
    /// The job was cancelled.
    Cancelled,
}

/// An event and its data, for those that a driver acts on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// `SHUTDOWN`: the guest has shut down; QEMU stays, because of `-no-shutdown`.
    Shutdown(ShutdownData),
    /// `RESET`
    Reset(ShutdownData),
    /// `POWERDOWN`: the power button was pressed.
    Powerdown,
    /// `STOP`: the CPUs are stopped.
    Stop,
    /// `RESUME`: the CPUs run.
    Resume,
    /// `SUSPEND`: the guest is in S3.
    Suspend,
    /// `SUSPEND_DISK`: the guest is in S4.
    SuspendDisk,
    /// `WAKEUP`: the guest leaves S3.
    Wakeup,
    /// `GUEST_PANICKED`, with QEMU's action, such as `pause`.
    GuestPanicked(String),
    /// `WATCHDOG`, with QEMU's action, such as `reset`.
    Watchdog(String),
    /// `RTC_CHANGE`: offset of the guest's clock in seconds.
    RtcChange(i64),
    /// `BALLOON_CHANGE`: bytes of memory that the guest has.
    BalloonChange(u64),
    /// `DEVICE_DELETED`
    DeviceDeleted(DeviceData),
    /// `DEVICE_UNPLUG_GUEST_ERROR`: the guest rejects the removal.
    DeviceUnplugGuestError(DeviceData),
    /// `DEVICE_TRAY_MOVED`
    DeviceTrayMoved(TrayData),
    /// `BLOCK_IO_ERROR`
    BlockIoError(BlockIoErrorData),
    /// `BLOCK_JOB_READY`, `BLOCK_JOB_COMPLETED`, `BLOCK_JOB_CANCELLED`
    BlockJob(BlockJobPhase, BlockJobData),
    /// `JOB_STATUS_CHANGE`
    JobStatusChange(JobStatusData),
    /// `VSERPORT_CHANGE`: the guest opened or closed a port, such as the agent's.
    VserportChange(VserportData),
    /// `NIC_RX_FILTER_CHANGED`, with the device, if it has an id.
    NicRxFilterChanged(Option<String>),
    /// `VNC_CONNECTED`, `VNC_INITIALIZED`, `VNC_DISCONNECTED`
    VncClient(GraphicsPhase, VncData),
    /// An event that this crate does not interpret.
    Other,
}

#[derive(Deserialize)]
struct Action {
    action: String,
}

#[derive(Deserialize)]
struct Offset {
    offset: i64,
}

#[derive(Deserialize)]
struct Actual {
    actual: u64,
}

#[derive(Deserialize)]
struct RxFilter {
    name: Option<String>,
}

impl Event {
    /// The event with its data.
    ///
    /// ```
    /// use oxivirt_qmp::event::EventKind;
    /// use oxivirt_qmp::{Limits, message::Message};
    ///
    /// let line = br#"{"event": "VSERPORT_CHANGE", "data": {"id": "channel0", "open": true}}"#;
    /// let Ok(Message::Event(event)) = Message::parse(line, &Limits::default()) else { panic!() };
    /// let Ok(EventKind::VserportChange(port)) = event.kind() else { panic!() };
    /// assert!(port.open);
    /// ```
    ///
    /// # Errors
    /// The data does not have the form that the event promises.
    pub fn kind(&self) -> Result<EventKind, serde_json::Error> {
        Ok(match self.name.as_str() {
            "SHUTDOWN" => EventKind::Shutdown(self.decode()?),
            "RESET" => EventKind::Reset(self.decode()?),
            "POWERDOWN" => EventKind::Powerdown,
            "STOP" => EventKind::Stop,
            "RESUME" => EventKind::Resume,
            "SUSPEND" => EventKind::Suspend,
            "SUSPEND_DISK" => EventKind::SuspendDisk,
            "WAKEUP" => EventKind::Wakeup,
            "GUEST_PANICKED" => EventKind::GuestPanicked(self.decode::<Action>()?.action),
            "WATCHDOG" => EventKind::Watchdog(self.decode::<Action>()?.action),
            "RTC_CHANGE" => EventKind::RtcChange(self.decode::<Offset>()?.offset),
            "BALLOON_CHANGE" => EventKind::BalloonChange(self.decode::<Actual>()?.actual),
            "DEVICE_DELETED" => EventKind::DeviceDeleted(self.decode()?),
            "DEVICE_UNPLUG_GUEST_ERROR" => EventKind::DeviceUnplugGuestError(self.decode()?),
            "DEVICE_TRAY_MOVED" => EventKind::DeviceTrayMoved(self.decode()?),
            "BLOCK_IO_ERROR" => EventKind::BlockIoError(self.decode()?),
            "BLOCK_JOB_READY" => EventKind::BlockJob(BlockJobPhase::Ready, self.decode()?),
            "BLOCK_JOB_COMPLETED" => EventKind::BlockJob(BlockJobPhase::Completed, self.decode()?),
            "BLOCK_JOB_CANCELLED" => EventKind::BlockJob(BlockJobPhase::Cancelled, self.decode()?),
            "JOB_STATUS_CHANGE" => EventKind::JobStatusChange(self.decode()?),
            "VSERPORT_CHANGE" => EventKind::VserportChange(self.decode()?),
            "NIC_RX_FILTER_CHANGED" => {
                EventKind::NicRxFilterChanged(self.decode::<RxFilter>()?.name)
            }
            "VNC_CONNECTED" => EventKind::VncClient(GraphicsPhase::Connected, self.decode()?),
            "VNC_INITIALIZED" => EventKind::VncClient(GraphicsPhase::Initialized, self.decode()?),
            "VNC_DISCONNECTED" => EventKind::VncClient(GraphicsPhase::Disconnected, self.decode()?),
            _ => EventKind::Other,
        })
    }

    /// The data of the event as `T`.
    ///
    /// # Errors
    /// The data does not have that form.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.data.as_ref().map_or("{}", |data| data.get()))
    }

    /// Bytes that keeping the event takes, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.name.len() + self.data.as_ref().map_or(0, |data| data.get().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        let data = RawValue::from_string(data.to_owned()).unwrap();
        Event { name: name.to_owned(), data: Some(data), timestamp: Timestamp::default() }
    }

    #[test]
    fn data_of_the_events_of_a_life_is_read() {
        let shutdown = event("SHUTDOWN", r#"{"guest": true, "reason": "guest-shutdown"}"#);
        let data = ShutdownData { guest: true, reason: Some(ShutdownCause::GuestShutdown) };
        assert_eq!(shutdown.kind().unwrap(), EventKind::Shutdown(data));
        let deleted = event("DEVICE_DELETED", r#"{"path": "/machine/peripheral/net1/x"}"#);
        let data = DeviceData { device: None, path: "/machine/peripheral/net1/x".to_owned() };
        assert_eq!(deleted.kind().unwrap(), EventKind::DeviceDeleted(data));
        let rtc = event("RTC_CHANGE", r#"{"offset": -3600, "qom-path": "/machine/rtc"}"#);
        assert_eq!(rtc.kind().unwrap(), EventKind::RtcChange(-3600));
        let balloon = event("BALLOON_CHANGE", r#"{"actual": 1073741824}"#);
        assert_eq!(balloon.kind().unwrap(), EventKind::BalloonChange(1 << 30));
    }

    #[test]
    fn unknown_events_and_unknown_words_are_kept() {
        assert_eq!(event("X_NEW", "1").kind().unwrap(), EventKind::Other);
        let reset = event("RESET", r#"{"guest": false, "reason": "later"}"#).kind().unwrap();
        let EventKind::Reset(data) = reset else { panic!() };
        assert_eq!(data.reason, Some(ShutdownCause::Other("later".to_owned())));
        assert_eq!(data.reason.unwrap().to_string(), "later");
    }

    #[test]
    fn wrong_data_is_an_error() {
        assert!(event("VSERPORT_CHANGE", r#"{"id": 5}"#).kind().is_err());
        assert!(event("BALLOON_CHANGE", r#"{"actual": -1}"#).kind().is_err());
        let missing = Event { data: None, ..event("DEVICE_DELETED", "{}") };
        assert!(missing.kind().is_err());
    }
}
