//! nftables over one kept nfnetlink socket.
//!
//! [`Nftables`] owns a thread with one socket that stays open as long as the handle: closing such
//! a socket after a deletion waits for a grace period of the kernel (8 to 17 ms), which is what
//! makes short-lived `nft` processes slow. Operations that wait in the queue are merged into
//! one transaction.
//!
//! [`encode`] turns a [`Transaction`] into messages and [`dump`] reads what the
//! kernel lists; both are pure. Nothing here knows what the rules are for.

pub mod dump;
pub mod encode;
mod foreign;
mod libvirt;
mod socket;

use std::borrow::Cow;
use std::fmt;
use std::sync::mpsc;

use tokio::sync::oneshot;

pub use dump::{ChainState, ElementState, TableState};

use self::encode::{Elsewhere, What};
use crate::counters::RuleCount;
use crate::libvirt::{self as table, NetworkRules};
use crate::user_chain::{self, DroppingChain, UserChain, UserChainJump};
use crate::{Change, Family, Removal, Transaction};
use oxivirt_types::link_name::LinkName;

/// What can go wrong with a transaction or a listing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NftError {
    /// The socket cannot be opened, for example for lack of privileges or of nfnetlink in the kernel.
    #[error("cannot open an nfnetlink socket")]
    Open(#[source] std::io::Error),
    /// Sending or receiving failed.
    #[error("cannot talk to nftables")]
    Socket(#[source] std::io::Error),
    /// The kernel refused a change; nothing of the transaction was carried out.
    #[error("nftables refuses '{change}'")]
    Refused {
        /// The change in the language of `nft(8)`.
        change: String,
        /// The kernel's reason.
        #[source]
        source: std::io::Error,
    },
    /// Another process changed the rules during every attempt.
    #[error("another process keeps changing the nftables rules")]
    Contended,
    /// The answer of the kernel is no valid netlink.
    #[error("cannot understand the answer of nftables")]
    Answer,
    /// The thread that owns the socket has ended.
    #[error("the nftables thread has ended")]
    Ended,
}

impl NftError {
    /// The kernel's error number, if the kernel refused the transaction.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } | Self::Socket(source) | Self::Open(source) => {
                source.raw_os_error()
            }
            _ => None,
        }
    }

    /// Whether the process lacks the privileges for nftables.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        matches!(self.errno(), Some(nix::libc::EPERM | nix::libc::EACCES))
    }
}

/// What one transaction does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// The changes of our table.
    pub transaction: Transaction,
    /// Networks whose rules of libvirt go in the same transaction, if there are any.
    pub supersedes: Vec<NetworkRules>,
    /// Ways through the filters of other programs.
    pub jumps: Vec<UserChainJump>,
}

enum Job {
    Apply(Load, oneshot::Sender<Result<(), NftError>>),
    ObserveLibvirt(Vec<NetworkRules>, oneshot::Sender<Result<Vec<bool>, NftError>>),
    Remove(Removal, oneshot::Sender<Result<(), NftError>>),
    DeleteTableIf(DeleteTableIf, oneshot::Sender<Result<bool, NftError>>),
    IsOwned(String, oneshot::Sender<Result<Option<bool>, NftError>>),
    Claim(String, oneshot::Sender<Result<(), NftError>>),
    CanOwnTables(oneshot::Sender<Result<bool, NftError>>),
    Counts(String, oneshot::Sender<Result<Vec<RuleCount>, NftError>>),
    Generation(oneshot::Sender<Result<u32, NftError>>),
    Observe(String, oneshot::Sender<Result<Option<TableState>, NftError>>),
    ObserveUserChainJumps(Vec<UserChainJump>, oneshot::Sender<Result<Vec<bool>, NftError>>),
    RemoveUserChainJump(Family, LinkName, oneshot::Sender<Result<(), NftError>>),
    UserChains(oneshot::Sender<Result<Vec<UserChain>, NftError>>),
    DroppingChains(oneshot::Sender<Result<Vec<DroppingChain>, NftError>>),
}

/// Deletes a table if nothing but shared objects is left in it.
#[derive(Debug, Clone)]
pub struct DeleteTableIf {
    /// Name of the table (family `inet`).
    pub table: String,
    /// Whether a chain of this name is shared and no reason to keep the table.
    pub is_shared: fn(&str) -> bool,
}

/// Handle of the nftables thread of one network namespace.
#[derive(Clone)]
pub struct Nftables {
    jobs: mpsc::Sender<Job>,
    own: socket::OwnGenerations,
}

impl fmt::Debug for Nftables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nftables").finish_non_exhaustive()
    }
}

impl Nftables {
    /// Opens the socket, in the network namespace of the calling thread, and starts its thread.
    ///
    /// # Errors
    /// [`NftError::Open`] if the socket or the thread cannot be had.
    pub fn open() -> Result<Self, NftError> {
        let own = socket::OwnGenerations::default();
        let socket = socket::Socket::open(own.clone()).map_err(NftError::Open)?;
        let (jobs, queue) = mpsc::channel();
        std::thread::Builder::new()
            .name("nftables".to_owned())
            .spawn(move || run(&socket, &queue))
            .map_err(NftError::Open)?;
        Ok(Self { jobs, own })
    }

    /// Whether this handle committed a generation of rules.
    #[must_use]
    pub fn is_own(&self, generation: u32) -> bool {
        self.own.contains(generation)
    }

    /// Carries out a transaction, completely or not at all.
    ///
    /// # Errors
    /// [`NftError::Refused`] names the change the kernel refused.
    pub async fn apply(&self, load: Load) -> Result<(), NftError> {
        self.ask(|answer| Job::Apply(load, answer)).await
    }

    /// Whether there are rules of libvirt for networks, for each.
    ///
    /// # Errors
    /// [`NftError`] if the kernel cannot be asked.
    pub async fn observe_libvirt(
        &self,
        networks: Vec<NetworkRules>,
    ) -> Result<Vec<bool>, NftError> {
        self.ask(|answer| Job::ObserveLibvirt(networks, answer)).await
    }

    /// Removes objects in whatever state they are; succeeds if they are gone afterwards.
    ///
    /// # Errors
    /// [`NftError::Refused`] if something foreign still refers to them.
    pub async fn remove(&self, removal: Removal) -> Result<(), NftError> {
        self.ask(|answer| Job::Remove(removal, answer)).await
    }

    /// Deletes a table if only shared objects are left in it; returns whether it is gone.
    ///
    /// Check and deletion are atomic: if the rules change in between, the check is repeated.
    ///
    /// # Errors
    /// [`NftError`] if the kernel refuses; [`NftError::Contended`] if the rules keep changing.
    pub async fn delete_table_if(&self, what: DeleteTableIf) -> Result<bool, NftError> {
        self.ask(|answer| Job::DeleteTableIf(what, answer)).await
    }

    /// Whether a table was made as [`Change::AddOwnedTable`] does; `None` if it does not exist.
    ///
    /// # Errors
    /// [`NftError`] if the kernel cannot be asked.
    pub async fn is_owned_table(&self, table: &str) -> Result<Option<bool>, NftError> {
        let table = table.to_owned();
        self.ask(|answer| Job::IsOwned(table, answer)).await
    }

    /// Makes this handle the owner of an orphaned table that [`Change::AddOwnedTable`] created.
    ///
    /// # Errors
    /// [`NftError`] if another process has it.
    pub async fn claim(&self, table: &str) -> Result<(), NftError> {
        let table = table.to_owned();
        self.ask(|answer| Job::Claim(table, answer)).await
    }

    /// Whether the kernel knows [`Change::AddOwnedTable`].
    ///
    /// # Errors
    /// [`NftError`] if the kernel cannot be asked.
    pub async fn can_own_tables(&self) -> Result<bool, NftError> {
        self.ask(Job::CanOwnTables).await
    }

    /// What the rules of a table have counted; nothing if it does not exist.
    ///
    /// # Errors
    /// [`NftError`] if the kernel cannot be asked.
    pub async fn counts(&self, table: &str) -> Result<Vec<RuleCount>, NftError> {
        let table = table.to_owned();
        self.ask(|answer| Job::Counts(table, answer)).await
    }

    /// Id of the current generation of rules; every commit of anyone increases it.
    ///
    /// # Errors
    /// [`NftError`] if the kernel has no nftables or the process no privileges.
    pub async fn generation(&self) -> Result<u32, NftError> {
        self.ask(Job::Generation).await
    }

    /// Reads chains, maps and elements of a table; `None` if it does not exist.
    ///
    /// # Errors
    /// [`NftError`] if the kernel cannot be asked.
    pub async fn observe(&self, table: &str) -> Result<Option<TableState>, NftError> {
        let table = table.to_owned();
        self.ask(|answer| Job::Observe(table, answer)).await
    }

    /// Whether jumps are complete, for each.
    ///
    /// # Errors
    /// [`NftError`] if the kernel cannot be asked.
    pub async fn observe_user_chain_jumps(
        &self,
        jumps: Vec<UserChainJump>,
    ) -> Result<Vec<bool>, NftError> {
        self.ask(|answer| Job::ObserveUserChainJumps(jumps, answer)).await
    }

    /// Removes what is there of the jump for a bridge.
    ///
    /// # Errors
    /// [`NftError::Refused`] if a foreign rule jumps to it.
    pub async fn remove_user_chain_jump(
        &self,
        family: Family,
        bridge: LinkName,
    ) -> Result<(), NftError> {
        self.ask(|answer| Job::RemoveUserChainJump(family, bridge, answer)).await
    }

    /// Which chains other programs leave to the administrator.
    ///
    /// # Errors
    /// [`NftError`] if the kernel cannot be asked.
    pub async fn user_chains(&self) -> Result<Vec<UserChain>, NftError> {
        self.ask(Job::UserChains).await
    }

    /// Base chains, of every program, that guests' packets pass and whose policy is drop.
    ///
    /// # Errors
    /// [`NftError`] if the kernel cannot be asked.
    pub async fn dropping_chains(&self) -> Result<Vec<DroppingChain>, NftError> {
        self.ask(Job::DroppingChains).await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, NftError>>) -> Job,
    ) -> Result<T, NftError> {
        let (answer, reply) = oneshot::channel();
        self.jobs.send(job(answer)).map_err(|_| NftError::Ended)?;
        reply.await.map_err(|_| NftError::Ended)?
    }
}

/// How many waiting transactions are merged into one; more would only make errors dearer.
const MERGE_LIMIT: usize = 256;

fn run(socket: &socket::Socket, queue: &mpsc::Receiver<Job>) {
    let mut pushed_back = None;
    let mut drops = None;
    while let Some(job) = pushed_back.take().or_else(|| queue.recv().ok()) {
        match job {
            Job::Apply(load, answer) => {
                let mut batch = vec![(load, answer)];
                while batch.len() < MERGE_LIMIT {
                    match queue.try_recv() {
                        Ok(Job::Apply(load, answer)) => batch.push((load, answer)),
                        Ok(other) => {
                            pushed_back = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                apply_all(socket, batch);
            }
            // A caller that no longer waits is no reason to leave anything undone.
            Job::Remove(removal, answer) => drop(answer.send(remove(socket, &removal))),
            Job::DeleteTableIf(what, answer) => drop(answer.send(delete_table_if(socket, &what))),
            Job::ObserveLibvirt(networks, answer) => {
                drop(answer.send(observe_libvirt(socket, &networks)));
            }
            Job::IsOwned(table, answer) => {
                let flags = socket.table_flags(&table);
                let is_owned = flags.map(|flags| flags.map(|flags| flags & dump::PERSIST != 0));
                drop(answer.send(is_owned));
            }
            Job::Claim(table, answer) => drop(answer.send(claim(socket, table))),
            Job::CanOwnTables(answer) => drop(answer.send(can_own_tables(socket))),
            Job::Counts(table, answer) => drop(answer.send(socket.counts(&table))),
            Job::Generation(answer) => drop(answer.send(socket.generation())),
            Job::Observe(table, answer) => drop(answer.send(socket.observe(&table))),
            Job::ObserveUserChainJumps(jumps, answer) => {
                let states = jumps.iter().map(|jump| is_complete(socket, jump));
                drop(answer.send(states.collect()));
            }
            Job::RemoveUserChainJump(family, bridge, answer) => {
                drop(answer.send(remove_user_chain_jump(socket, family, &bridge)));
            }
            Job::UserChains(answer) => drop(answer.send(user_chains(socket))),
            Job::DroppingChains(answer) => {
                drop(answer.send(socket.dropping_chains(&mut drops)));
            }
        }
    }
}

/// Applies transactions as one; if that is refused, one by one, so that each gets its own answer.
fn apply_all(socket: &socket::Socket, batch: Vec<(Load, oneshot::Sender<Result<(), NftError>>)>) {
    if let [_, _, ..] = batch.as_slice() {
        let all: Vec<&Load> = batch.iter().map(|(load, _)| load).collect();
        if apply(socket, &all).is_ok() {
            for (_, answer) in batch {
                drop(answer.send(Ok(())));
            }
            return;
        }
    }
    for (load, answer) in batch {
        drop(answer.send(apply(socket, &[&load])));
    }
}

/// Applies loads as one transaction that also deletes libvirt's rules of the same networks and adds
/// jumps from the administrator's chains.
///
/// Existing rules are read under the generation number of the commit, so that a handle still belongs
/// to the rule that was read.
fn apply(socket: &socket::Socket, loads: &[&Load]) -> Result<(), NftError> {
    let transactions: Vec<_> = loads.iter().map(|load| &load.transaction).collect();
    let networks: Vec<_> = loads.iter().flat_map(|load| &load.supersedes).collect();
    let jumps: Vec<_> = loads.iter().flat_map(|load| &load.jumps).collect();
    for _ in 0..ATTEMPTS {
        let generation = socket.generation()?;
        let mut elsewhere = Vec::new();
        let mut as_it_is = Vec::new();
        for other in other_tables(socket, &transactions)? {
            match other {
                Other::Remade(deletion) => elsewhere.push(deletion),
                Other::Kept(table) => as_it_is.push(table),
            }
        }
        let disowned: Vec<_> = transactions
            .iter()
            .map(|transaction| match as_it_is.contains(&transaction.table) {
                true => Cow::Owned((*transaction).clone().with_owner(false)),
                false => Cow::Borrowed(*transaction),
            })
            .collect();
        let transactions: Vec<_> = disowned.iter().map(AsRef::as_ref).collect();
        elsewhere.extend(libvirt_deletions(socket, &networks)?);
        for jump in &jumps {
            elsewhere.extend(jump_changes(socket, jump)?);
        }
        let generation = (!elsewhere.is_empty()).then_some(generation);
        match socket.commit_with(&elsewhere, &transactions, generation) {
            Err(error) if error.errno() == Some(nix::libc::ERESTART) => {}
            other => return other,
        }
    }
    Err(NftError::Contended)
}

/// What happens to a table whose flags differ.
enum Other {
    /// Deleted and created again: the transactions contain all its chains.
    Remade(Elsewhere),
    /// Left as it is: it holds more than the transactions create.
    Kept(String),
}

/// Tables whose flags differ from the wanted ones. Flags cannot be changed, and foreign objects in a
/// table must not be deleted.
fn other_tables(
    socket: &socket::Socket,
    transactions: &[&Transaction],
) -> Result<Vec<Other>, NftError> {
    let mut seen = Vec::new();
    let mut others = Vec::new();
    for transaction in transactions {
        let Some(is_owned) = transaction.owns() else { continue };
        let table = &transaction.table;
        if seen.contains(&table) {
            continue;
        }
        seen.push(table);
        let flags = socket.table_flags(table)?;
        if flags.is_none_or(|flags| (flags & dump::PERSIST != 0) == is_owned) {
            continue;
        }
        let made: Vec<_> = transactions
            .iter()
            .filter(|other| other.table == *table)
            .flat_map(|other| other.changes.iter().filter_map(chain_of))
            .collect();
        let state = socket.observe(table)?.unwrap_or_default();
        others.push(match state.chains.keys().all(|chain| made.contains(&chain.as_str())) {
            true => {
                tracing::info!(table, is_owned, "recreating the table: its flags differ");
                let (table, what) = (table.clone(), What::DeleteTable);
                Other::Remade(Elsewhere { family: NFPROTO_INET, table, what })
            }
            false => Other::Kept(table.clone()),
        });
    }
    Ok(others)
}

/// The chain that a change makes.
fn chain_of(change: &Change) -> Option<&str> {
    match change {
        Change::AddBaseChain { name, .. }
        | Change::AddChain { name, .. }
        | Change::AddSharedChain { name } => Some(name),
        _ => None,
    }
}

fn claim(socket: &socket::Socket, table: String) -> Result<(), NftError> {
    if socket.table_flags(&table)? != Some(dump::PERSIST) {
        return Ok(());
    }
    socket.commit(&[&Transaction { table, changes: vec![Change::AddOwnedTable] }], None)
}

/// Tries it in a transaction that fails in any case, so that nothing changes.
fn can_own_tables(socket: &socket::Socket) -> Result<bool, NftError> {
    let missing = Change::DeleteChain { name: "none".to_owned() };
    let table = format!("probe_{}", std::process::id());
    let attempt = Transaction { table, changes: vec![Change::AddOwnedTable, missing] };
    match socket.commit(&[&attempt], None) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(nix::libc::ENOENT) => Ok(true),
        Err(NftError::Refused { source, .. }) => {
            tracing::debug!(error = %source, "tables cannot be owned");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// What takes libvirt's rules of networks away; the whole table if nothing else is left in it.
fn libvirt_deletions(
    socket: &socket::Socket,
    networks: &[&NetworkRules],
) -> Result<Vec<Elsewhere>, NftError> {
    let mut deletions = Vec::new();
    if networks.is_empty() {
        return Ok(deletions);
    }
    let change = |family, what| Elsewhere { family, table: table::TABLE.to_owned(), what };
    let bridges: Vec<_> = networks.iter().map(|network| index_of(network)).collect();
    let mut skeletons = Vec::new();
    for family in libvirt::FAMILIES {
        let Some(rules) = socket.libvirt_rules(family)? else { continue };
        let (gone, left): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rule| {
            let mut networks = networks.iter().zip(&bridges);
            networks.any(|(network, bridge)| rule.is_of(network, *bridge, &exists))
        });
        let is_skeleton =
            left.len() <= table::N_JUMPS && left.iter().all(|rule| rule.chain == table::FORWARD);
        if is_skeleton && gone.is_empty() {
            skeletons.push(change(family, What::DeleteTable));
        } else if is_skeleton {
            deletions.push(change(family, What::DeleteTable));
        } else {
            deletions.extend(gone.into_iter().map(|rule| {
                change(family, What::DeleteRule { chain: rule.chain, handle: rule.handle })
            }));
        }
    }
    if !deletions.is_empty() && deletions.iter().all(|change| change.what == What::DeleteTable) {
        // It makes the tables of both families for a network of one.
        deletions.extend(skeletons);
    }
    Ok(deletions)
}

fn observe_libvirt(
    socket: &socket::Socket,
    networks: &[NetworkRules],
) -> Result<Vec<bool>, NftError> {
    let mut found = vec![false; networks.len()];
    for family in libvirt::FAMILIES {
        let Some(rules) = socket.libvirt_rules(family)? else { continue };
        for (network, found) in networks.iter().zip(&mut found) {
            let bridge = index_of(network);
            *found |= rules.iter().any(|rule| rule.is_of(network, bridge, &exists));
        }
    }
    Ok(found)
}

/// `NFPROTO_INET`
const NFPROTO_INET: u8 = 1;

/// `NFPROTO_…`
const fn number_of(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 2,
        Family::Ipv6 => 10,
    }
}

/// What completes a jump, from whatever is there of it.
fn jump_changes(socket: &socket::Socket, jump: &UserChainJump) -> Result<Vec<Elsewhere>, NftError> {
    let family = number_of(jump.family);
    let chain = jump.chain();
    let mut jumps = Vec::new();
    let mut is_needed = false;
    for from in &jump.from {
        // A chain that has gone meanwhile needs no jump.
        let Some(known) = socket.jumps(family, user_chain::TABLE, from)? else { continue };
        is_needed = true;
        if !known.iter().any(|jump| jump.to == chain) {
            jumps.push(What::InsertJump { chain: from.clone(), to: chain.clone() });
        }
    }
    if !is_needed {
        return Ok(Vec::new());
    }
    let mut changes = vec![What::AddChain(chain.clone()), What::FlushChain(chain.clone())];
    let rules = jump.rules().into_iter();
    changes.extend(rules.map(|rule| What::AddRule { chain: chain.clone(), rule }));
    changes.extend(jumps);
    let change = |what| Elsewhere { family, table: user_chain::TABLE.to_owned(), what };
    Ok(changes.into_iter().map(change).collect())
}

fn is_complete(socket: &socket::Socket, jump: &UserChainJump) -> Result<bool, NftError> {
    let family = number_of(jump.family);
    let chain = jump.chain();
    for from in &jump.from {
        let jumps = socket.jumps(family, user_chain::TABLE, from)?;
        if !jumps.is_some_and(|jumps| jumps.iter().any(|jump| jump.to == chain)) {
            return Ok(false);
        }
    }
    let n_rules = socket.n_rules(family, user_chain::TABLE, &chain)?;
    Ok(n_rules == Some(jump.rules().len()))
}

fn remove_user_chain_jump(
    socket: &socket::Socket,
    family: Family,
    bridge: &LinkName,
) -> Result<(), NftError> {
    let of_family = |chain: &UserChain| chain.family == family;
    let chain = user_chain::chain(bridge);
    let family = number_of(family);
    for _ in 0..ATTEMPTS {
        let generation = socket.generation()?;
        let mut changes = Vec::new();
        for from in UserChain::all().filter(of_family) {
            let jumps = socket.jumps(family, user_chain::TABLE, &from.name)?.unwrap_or_default();
            let ours = jumps.into_iter().filter(|jump| jump.to == chain);
            let delete = |jump: foreign::Jump| What::DeleteRule {
                chain: from.name.clone(),
                handle: jump.handle,
            };
            changes.extend(ours.map(delete));
        }
        if socket.n_rules(family, user_chain::TABLE, &chain)?.is_some() {
            changes.push(What::FlushChain(chain.clone()));
            changes.push(What::DeleteChain(chain.clone()));
        }
        let change = |what| Elsewhere { family, table: user_chain::TABLE.to_owned(), what };
        let changes: Vec<_> = changes.into_iter().map(change).collect();
        match socket.commit_with(&changes, &[], Some(generation)) {
            Err(error) if error.errno() == Some(nix::libc::ERESTART) => {}
            other => return other,
        }
    }
    Err(NftError::Contended)
}

fn user_chains(socket: &socket::Socket) -> Result<Vec<UserChain>, NftError> {
    let mut found = Vec::new();
    for chain in UserChain::all() {
        if socket.jumps(number_of(chain.family), user_chain::TABLE, &chain.name)?.is_some() {
            found.push(chain);
        }
    }
    Ok(found)
}

/// The index of a network's bridge, in the network namespace of this thread.
fn index_of(network: &NetworkRules) -> Option<u32> {
    nix::net::if_::if_nametoindex(network.bridge.as_str()).ok()
}

fn exists(link: u32) -> bool {
    oxivirt_netlink::link_name(link).is_some()
}

fn remove(socket: &socket::Socket, removal: &Removal) -> Result<(), NftError> {
    if socket.commit(&[&removal.destroy()], None).is_ok() {
        return Ok(());
    }
    // Kernels before 6.3, and a table that lost a map.
    match socket.commit(&[&removal.saved()], None) {
        Err(error)
            if error.errno() == Some(nix::libc::ENOENT)
                && socket.observe(&removal.table)?.is_none() =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Attempts before a change gives up because another process keeps committing.
const ATTEMPTS: usize = 50;

fn delete_table_if(socket: &socket::Socket, what: &DeleteTableIf) -> Result<bool, NftError> {
    for _ in 0..ATTEMPTS {
        let generation = socket.generation()?;
        let Some(state) = socket.observe(&what.table)? else {
            return Ok(true);
        };
        if state.chains.keys().any(|name| !(what.is_shared)(name)) {
            return Ok(false);
        }
        let delete = Transaction { table: what.table.clone(), changes: vec![Change::DeleteTable] };
        match socket.commit(&[&delete], Some(generation)) {
            Ok(()) => return Ok(true),
            Err(error) if error.errno() == Some(nix::libc::ERESTART) => {}
            Err(error) => return Err(error),
        }
    }
    Err(NftError::Contended)
}
