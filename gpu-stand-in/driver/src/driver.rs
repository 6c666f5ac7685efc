//! What NVML's functions answer, without C: which GPUs a caller sees, what they measure, what happens to them.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::block::{Block, ECC_EVENT, Event, Gpu, XID_EVENT};
use crate::own_file;

/// What a call comes to where it has no result: NVML's own numbers (`nvmlReturn_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Failure {
    /// `nvmlInit` was not called.
    Uninitialized = 1,
    /// An argument that cannot be.
    InvalidArgument = 2,
    /// Not in this stand-in, or not for this GPU.
    NotSupported = 3,
    /// There is no such GPU.
    NotFound = 6,
    /// The caller's buffer is too short.
    InsufficientSize = 7,
    /// This library has no plan.
    DriverNotLoaded = 9,
    /// Nothing happened in time.
    Timeout = 10,
    /// The GPU left the bus.
    GpuIsLost = 15,
}

/// The events that a GPU of the stand-in has.
pub const EVENTS: u64 = XID_EVENT | ECC_EVENT;
/// The temperature of a GPU that is too hot, in degrees Celsius.
pub const HOT: u32 = 97;
/// From here on a card works slower, in degrees Celsius.
pub const SLOWDOWN: u32 = 95;
/// From here on a card turns itself off, in degrees Celsius.
pub const SHUTDOWN: u32 = 98;
/// How often a waiting call looks for events.
const LOOK: Duration = Duration::from_millis(100);

/// How many calls of `nvmlInit` have no `nvmlShutdown` yet.
static INITIALIZED: AtomicU32 = AtomicU32::new(0);
static EVENT_SETS: Mutex<EventSets> = Mutex::new(EventSets { last: 0, sets: BTreeMap::new() });

struct EventSets {
    last: usize,
    sets: BTreeMap<usize, EventSet>,
}

#[derive(Default)]
struct EventSet {
    /// The types of events that are waited for, by GPU.
    registered: BTreeMap<u32, u64>,
    /// Number of the last event that was there before, and how many of that number were given out.
    seen: (u64, usize),
}

/// Begins.
///
/// # Errors
/// When the library was not given a plan.
pub fn initialize() -> Result<(), Failure> {
    read()?;
    INITIALIZED.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Ends.
///
/// # Errors
/// When it was not begun.
pub fn shut_down() -> Result<(), Failure> {
    let less = INITIALIZED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
    less.map(drop).map_err(|_| Failure::Uninitialized)
}

/// The block of this library, between `nvmlInit` and `nvmlShutdown`.
///
/// # Errors
/// Outside of that.
pub fn block() -> Result<Block, Failure> {
    if INITIALIZED.load(Ordering::SeqCst) == 0 {
        return Err(Failure::Uninitialized);
    }
    read()
}

fn read() -> Result<Block, Failure> {
    let own = own_file::path().ok_or(Failure::DriverNotLoaded)?;
    Block::read(&own).map_err(|_| Failure::DriverNotLoaded)
}

/// The GPUs that the caller sees, by slot: those whose device node is in its `/dev`, as with the real library. A
/// container sees what it was given.
///
/// # Errors
/// Before `nvmlInit`.
pub fn visible() -> Result<Vec<Gpu>, Failure> {
    let has_node = |gpu: &Gpu| {
        std::fs::metadata(format!("/dev/nvidia{}", gpu.index))
            .is_ok_and(|node| node.file_type().is_char_device())
    };
    let gpus = block()?.gpus.into_iter();
    Ok(gpus.filter(|gpu| !gpu.faults.removed && has_node(gpu)).collect())
}

/// The handle of the first visible GPU that fits.
///
/// # Errors
/// When none does.
pub fn find(fits: impl Fn(usize, &Gpu) -> bool) -> Result<usize, Failure> {
    let found = visible()?.into_iter().enumerate().find(|(position, gpu)| fits(*position, gpu));
    found.map(|(_, gpu)| handle(gpu.index)).ok_or(Failure::NotFound)
}

/// What callers hold for a GPU. Never zero, which is C's null.
pub fn handle(index: u32) -> usize {
    index as usize + 1
}

/// The GPU of a handle. One that was removed still has its name: programs report events with it.
///
/// # Errors
/// When it is no handle.
pub fn gpu(handle: usize) -> Result<Gpu, Failure> {
    let found = block()?.gpus.into_iter().find(|gpu| self::handle(gpu.index) == handle);
    found.ok_or(Failure::InvalidArgument)
}

/// The GPU of a handle, if its sensors answer.
///
/// # Errors
/// When it is no handle, or the GPU left the bus.
pub fn answering(handle: usize) -> Result<Gpu, Failure> {
    let gpu = gpu(handle)?;
    if gpu.faults.is_lost() { Err(Failure::GpuIsLost) } else { Ok(gpu) }
}

/// Its temperature now, in degrees Celsius.
pub fn temperature(gpu: &Gpu) -> u32 {
    if gpu.faults.hot { HOT } else { gpu.temperature }
}

fn event_sets() -> MutexGuard<'static, EventSets> {
    EVENT_SETS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new set of events, as a handle. It begins with what happens from now on.
///
/// # Errors
/// Before `nvmlInit`.
pub fn create_event_set() -> Result<usize, Failure> {
    let now = block()?.change;
    let mut all = event_sets();
    all.last += 1;
    let handle = all.last;
    all.sets.insert(handle, EventSet { registered: BTreeMap::new(), seen: (now, usize::MAX) });
    Ok(handle)
}

/// Forgets a set.
///
/// # Errors
/// When it is none.
pub fn free_event_set(set: usize) -> Result<(), Failure> {
    event_sets().sets.remove(&set).map(drop).ok_or(Failure::InvalidArgument)
}

/// Adds events of a GPU to a set.
///
/// # Errors
/// When a handle is none, or the GPU has no such event.
pub fn register(set: usize, device: usize, types: u64) -> Result<(), Failure> {
    let index = gpu(device)?.index;
    if types & !EVENTS != 0 {
        return Err(Failure::NotSupported);
    }
    let mut all = event_sets();
    let set = all.sets.get_mut(&set).ok_or(Failure::InvalidArgument)?;
    *set.registered.entry(index).or_default() |= types;
    Ok(())
}

/// Waits for the next event of a set.
///
/// # Errors
/// When none comes in time, or the set is none.
#[expect(
    clippy::disallowed_methods,
    reason = "this library is alone in programs of others, without the lab's own wait"
)]
pub fn wait_for_event(set: usize, longest: Duration) -> Result<Event, Failure> {
    let begun = Instant::now();
    loop {
        let events = block()?.events;
        if let Some(event) = event_sets().sets.get_mut(&set).ok_or(Failure::InvalidArgument)?.next(&events) {
            return Ok(event);
        }
        let left = longest.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(Failure::Timeout);
        }
        std::thread::sleep(left.min(LOOK));
    }
}

impl EventSet {
    /// The next event that it has not given out.
    fn next(&mut self, events: &[Event]) -> Option<Event> {
        let mut of_number = (0, 0);
        for event in events {
            of_number = (event.number, if event.number == of_number.0 { of_number.1 + 1 } else { 1 });
            if of_number > self.seen {
                self.seen = of_number;
                if self.registered.get(&event.gpu).is_some_and(|types| types & event.kind != 0) {
                    return Some(*event);
                }
            }
        }
        None
    }
}
