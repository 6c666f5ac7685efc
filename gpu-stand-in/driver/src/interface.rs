//! NVML's functions that answer, as C sees them. Each only turns pointers into values and back; `driver` decides.
//!
//! Names, arguments and structures are those of NVIDIA's public header `nvml.h` (it comes with the Go module
//! `github.com/NVIDIA/go-nvml`), declared here for the calling convention alone. Handles are numbers: the C side holds
//! them as pointers that it never follows.
//!
//! Safety of all of them: a pointer is null, which is refused, or points to what the header says, which the caller owns
//! during the call.
#![expect(unsafe_code, reason = "C calls with raw pointers, and finds functions by their plain names")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong};
use std::time::Duration;

use crate::block::{Block, Gpu};
use crate::driver::{self, Failure};

/// What a function returns: 0, or a [`Failure`].
type Return = c_int;
/// `nvmlDevice_t` and `nvmlEventSet_t`: pointers to C, numbers here.
type Handle = usize;

/// `nvmlPciInfo_t`.
#[repr(C)]
pub struct PciInfo {
    short_address: [u8; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    ids: c_uint,
    subsystem_ids: c_uint,
    address: [u8; 32],
}

/// `nvmlMemory_t`, in bytes.
#[repr(C)]
pub struct Memory {
    total: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlMemory_v2_t`, in bytes.
#[repr(C)]
pub struct MemoryV2 {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlUtilization_t`, in percent.
#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// `nvmlEventData_t`.
#[repr(C)]
pub struct EventData {
    device: Handle,
    kind: c_ulonglong,
    data: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

/// Memory that the driver keeps for itself on a card without work.
const RESERVED: u64 = 1 << 20;
/// `NVML_TEMPERATURE_GPU`, the only sensor.
const GPU_SENSOR: c_uint = 0;
/// `NVML_TEMPERATURE_THRESHOLD_SHUTDOWN` and `_SLOWDOWN`.
const THRESHOLDS: [u32; 2] = [driver::SHUTDOWN, driver::SLOWDOWN];
/// `NVML_MEMORY_ERROR_TYPE_CORRECTED` and `_UNCORRECTED`.
const ERROR_TYPES: c_uint = 2;
/// "No instance", where a GPU is not divided.
const NO_INSTANCE: c_uint = c_uint::MAX;

fn code(result: Result<(), Failure>) -> Return {
    result.map_or_else(|failure| failure as Return, |()| 0)
}

/// Writes a result where the caller wants it.
///
/// # Safety
/// As all of this module.
unsafe fn put<T>(to: *mut T, result: Result<T, Failure>) -> Return {
    if to.is_null() {
        return Failure::InvalidArgument as Return;
    }
    // SAFETY: it is not null, and the caller owns it.
    code(result.map(|value| unsafe { to.write(value) }))
}

/// Writes a text with its zero byte where the caller wants it.
///
/// # Safety
/// As all of this module; the buffer has `length` bytes.
unsafe fn put_text(to: *mut c_char, length: c_uint, result: Result<String, Failure>) -> Return {
    let written = result.and_then(|text| {
        if to.is_null() {
            return Err(Failure::InvalidArgument);
        }
        if text.len() >= length as usize {
            return Err(Failure::InsufficientSize);
        }
        // SAFETY: the caller owns `length` bytes, which the text and its end do not exceed.
        unsafe {
            to.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
            to.add(text.len()).write(0);
        }
        Ok(())
    });
    code(written)
}

/// The handle of the GPU whose text is the caller's.
///
/// # Safety
/// As all of this module; the text is ended by a zero byte.
unsafe fn find_by(wanted: *const c_char, to: *mut Handle, fits: impl Fn(&Gpu, &str) -> bool) -> Return {
    if wanted.is_null() {
        return Failure::InvalidArgument as Return;
    }
    // SAFETY: it is not null, and the caller's text has an end.
    let wanted = unsafe { CStr::from_ptr(wanted) }.to_string_lossy();
    // SAFETY: the caller's promise.
    unsafe { put(to, driver::find(|_, gpu| fits(gpu, &wanted))) }
}

/// One exported function: its name, its arguments, and its answer as safe code, which goes to `to` or nowhere.
macro_rules! functions {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $answer:expr;)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As all of this module.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> Return {
                $answer
            }
        )+
    };
}

// SAFETY of each block below: what the caller promises is the same for all of them; see the module.
functions! {
    /// Begins.
    fn nvmlInit() -> code(driver::initialize());
    /// Begins.
    fn nvmlInit_v2() -> code(driver::initialize());
    /// Begins; no flag changes anything here.
    fn nvmlInitWithFlags(_flags: c_uint) -> code(driver::initialize());
    /// Ends.
    fn nvmlShutdown() -> code(driver::shut_down());
    /// The version of CUDA.
    fn nvmlSystemGetCudaDriverVersion(to: *mut c_int) -> cuda_version(to);
    /// The version of CUDA.
    fn nvmlSystemGetCudaDriverVersion_v2(to: *mut c_int) -> cuda_version(to);
    /// The driver's version, with the word `stand-in`.
    fn nvmlSystemGetDriverVersion(to: *mut c_char, length: c_uint) ->
        unsafe { put_text(to, length, driver::block().map(|block| block.driver)) };
    /// The library's own version, with the word `stand-in`.
    fn nvmlSystemGetNVMLVersion(to: *mut c_char, length: c_uint) ->
        unsafe { put_text(to, length, driver::block().map(nvml_version)) };
    /// How many GPUs the caller sees.
    fn nvmlDeviceGetCount(to: *mut c_uint) -> unsafe { put(to, count()) };
    /// How many GPUs the caller sees.
    fn nvmlDeviceGetCount_v2(to: *mut c_uint) -> unsafe { put(to, count()) };
    /// A GPU by its place among those that the caller sees.
    fn nvmlDeviceGetHandleByIndex(index: c_uint, to: *mut Handle) -> unsafe { put(to, at(index)) };
    /// A GPU by its place among those that the caller sees.
    fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, to: *mut Handle) -> unsafe { put(to, at(index)) };
    /// A GPU by its UUID.
    fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, to: *mut Handle) ->
        unsafe { find_by(uuid, to, |gpu, uuid| gpu.uuid == uuid) };
    /// A GPU by the address of its PCI function.
    fn nvmlDeviceGetHandleByPciBusId(address: *const c_char, to: *mut Handle) ->
        unsafe { find_by(address, to, has_address) };
    /// A GPU by the address of its PCI function.
    fn nvmlDeviceGetHandleByPciBusId_v2(address: *const c_char, to: *mut Handle) ->
        unsafe { find_by(address, to, has_address) };
    /// Its place among those that the caller sees.
    fn nvmlDeviceGetIndex(device: Handle, to: *mut c_uint) -> unsafe { put(to, place(device)) };
    /// The minor number of its device node.
    fn nvmlDeviceGetMinorNumber(device: Handle, to: *mut c_uint) ->
        unsafe { put(to, driver::gpu(device).map(|gpu| gpu.index)) };
    /// Its product, with the word STAND-IN.
    fn nvmlDeviceGetName(device: Handle, to: *mut c_char, length: c_uint) ->
        unsafe { put_text(to, length, driver::gpu(device).map(|gpu| gpu.name)) };
    /// Its UUID.
    fn nvmlDeviceGetUUID(device: Handle, to: *mut c_char, length: c_uint) ->
        unsafe { put_text(to, length, driver::gpu(device).map(|gpu| gpu.uuid)) };
    /// Its PCI function.
    fn nvmlDeviceGetPciInfo_v3(device: Handle, to: *mut PciInfo) ->
        unsafe { put(to, driver::gpu(device).and_then(|gpu| pci_info(&gpu))) };
    /// Its memory.
    fn nvmlDeviceGetMemoryInfo(device: Handle, to: *mut Memory) ->
        unsafe { put(to, driver::gpu(device).map(|gpu| memory(&gpu))) };
    /// Its memory. The caller says which version of the structure it has; there is one.
    fn nvmlDeviceGetMemoryInfo_v2(device: Handle, to: *mut MemoryV2) -> memory_v2(device, to);
    /// Its temperature.
    fn nvmlDeviceGetTemperature(device: Handle, sensor: c_uint, to: *mut c_uint) ->
        unsafe { put(to, temperature(device, sensor)) };
    /// The temperature from which on it works slower, or turns itself off.
    fn nvmlDeviceGetTemperatureThreshold(device: Handle, threshold: c_uint, to: *mut c_uint) ->
        unsafe { put(to, temperature_threshold(device, threshold)) };
    /// The power that it draws, in milliwatts.
    fn nvmlDeviceGetPowerUsage(device: Handle, to: *mut c_uint) ->
        unsafe { put(to, driver::answering(device).map(|gpu| gpu.power)) };
    /// The power that it may draw, in milliwatts.
    fn nvmlDeviceGetEnforcedPowerLimit(device: Handle, to: *mut c_uint) ->
        unsafe { put(to, driver::answering(device).map(|gpu| gpu.power_limit)) };
    /// How busy it is: never.
    fn nvmlDeviceGetUtilizationRates(device: Handle, to: *mut Utilization) ->
        unsafe { put(to, driver::answering(device).map(|_| Utilization { gpu: 0, memory: 0 })) };
    /// Errors of its memory.
    fn nvmlDeviceGetTotalEccErrors(device: Handle, kind: c_uint, _counter: c_uint, to: *mut c_ulonglong) ->
        unsafe { put(to, ecc_errors(device, kind)) };
    /// A set of events.
    fn nvmlEventSetCreate(to: *mut Handle) -> unsafe { put(to, driver::create_event_set()) };
    /// Forgets a set of events.
    fn nvmlEventSetFree(set: Handle) -> code(driver::free_event_set(set));
    /// The types of events that a GPU has.
    fn nvmlDeviceGetSupportedEventTypes(device: Handle, to: *mut c_ulonglong) ->
        unsafe { put(to, driver::gpu(device).map(|_| driver::EVENTS)) };
    /// Adds events of a GPU to a set.
    fn nvmlDeviceRegisterEvents(device: Handle, types: c_ulonglong, set: Handle) ->
        code(driver::register(set, device, types));
    /// Waits for an event.
    fn nvmlEventSetWait(set: Handle, to: *mut EventData, milliseconds: c_uint) ->
        unsafe { put(to, wait(set, milliseconds)) };
    /// Waits for an event.
    fn nvmlEventSetWait_v2(set: Handle, to: *mut EventData, milliseconds: c_uint) ->
        unsafe { put(to, wait(set, milliseconds)) };
}

/// Compute capability of a GPU.
///
/// # Safety
/// As all of this module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: Handle,
    major: *mut c_int,
    minor: *mut c_int,
) -> Return {
    let number = |number: u32| c_int::try_from(number).map_err(|_| Failure::NotSupported);
    let compute = driver::gpu(device).map(|gpu| gpu.compute);
    // SAFETY: see the module.
    let put_both = || unsafe {
        [
            put(major, compute.and_then(|(major, _)| number(major))),
            put(minor, compute.and_then(|(_, minor)| number(minor))),
        ]
    };
    put_both().into_iter().max().unwrap_or_default()
}

/// Whether a GPU counts errors of its memory, now and after the next start.
///
/// # Safety
/// As all of this module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEccMode(
    device: Handle,
    now: *mut c_uint,
    later: *mut c_uint,
) -> Return {
    let mode = driver::gpu(device).and_then(|gpu| gpu.has_ecc.then_some(1).ok_or(Failure::NotSupported));
    // SAFETY: see the module.
    unsafe { put(now, mode).max(put(later, mode)) }
}

/// NVML's words for a number that a function returned. Programs print them.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(result: Return) -> *const c_char {
    let text = match result {
        0 => c"Success",
        1 => c"Uninitialized",
        2 => c"Invalid Argument",
        3 => c"Not Supported (by the GPU stand-in)",
        6 => c"Not Found",
        7 => c"Insufficient Size",
        9 => c"Driver Not Loaded",
        10 => c"Timeout",
        15 => c"GPU is lost",
        _ => c"Unknown Error",
    };
    text.as_ptr()
}

fn cuda_version(to: *mut c_int) -> Return {
    let version =
        driver::block().and_then(|block| c_int::try_from(block.cuda).map_err(|_| Failure::NotSupported));
    // SAFETY: see the module.
    unsafe { put(to, version) }
}

/// NVML's own version: that of CUDA's line before the driver's.
fn nvml_version(block: Block) -> String {
    format!("{}.{}", block.cuda / 1000, block.driver)
}

fn count() -> Result<c_uint, Failure> {
    c_uint::try_from(driver::visible()?.len()).map_err(|_| Failure::NotSupported)
}

fn at(index: c_uint) -> Result<Handle, Failure> {
    driver::find(|place, _| place == index as usize).map_err(|failure| match failure {
        Failure::NotFound => Failure::InvalidArgument,
        other => other,
    })
}

fn place(device: Handle) -> Result<c_uint, Failure> {
    let wanted = driver::gpu(device)?;
    let place =
        driver::visible()?.iter().position(|gpu| gpu.index == wanted.index).ok_or(Failure::GpuIsLost)?;
    c_uint::try_from(place).map_err(|_| Failure::NotSupported)
}

/// NVML writes eight digits of domain, people four, and either case.
fn has_address(gpu: &Gpu, wanted: &str) -> bool {
    let wanted = wanted.to_ascii_lowercase();
    wanted == gpu.address || wanted == format!("0000{}", gpu.address)
}

fn pci_info(gpu: &Gpu) -> Result<PciInfo, Failure> {
    let number = |digits: &str| c_uint::from_str_radix(digits, 16).map_err(|_| Failure::NotSupported);
    let parts: Vec<&str> = gpu.address.split([':', '.']).collect();
    let [domain, bus, device, _] = parts[..] else { return Err(Failure::NotSupported) };
    Ok(PciInfo {
        short_address: padded(&gpu.address),
        domain: number(domain)?,
        bus: number(bus)?,
        device: number(device)?,
        ids: c_uint::from(gpu.device) << 16 | VENDOR,
        subsystem_ids: VENDOR,
        address: padded(&format!("0000{}", gpu.address).to_ascii_uppercase()),
    })
}

/// NVIDIA among the vendors of PCI functions.
const VENDOR: c_uint = 0x10de;

/// A text in an array, cut to leave its last byte zero.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().take(N - 1).zip(text.bytes()) {
        *to = from;
    }
    bytes
}

fn memory(gpu: &Gpu) -> Memory {
    Memory { total: gpu.memory, free: gpu.memory - RESERVED, used: RESERVED }
}

fn memory_v2(device: Handle, to: *mut MemoryV2) -> Return {
    let result = driver::gpu(device).map(|gpu| MemoryV2 {
        version: u32::try_from(size_of::<MemoryV2>()).unwrap_or_default() | 2 << 24,
        total: gpu.memory,
        reserved: RESERVED,
        free: gpu.memory - RESERVED,
        used: 0,
    });
    // SAFETY: see the module.
    unsafe { put(to, result) }
}

fn temperature(device: Handle, sensor: c_uint) -> Result<c_uint, Failure> {
    let gpu = driver::answering(device)?;
    if sensor == GPU_SENSOR { Ok(driver::temperature(&gpu)) } else { Err(Failure::InvalidArgument) }
}

fn temperature_threshold(device: Handle, threshold: c_uint) -> Result<c_uint, Failure> {
    driver::answering(device)?;
    THRESHOLDS.get(threshold as usize).copied().ok_or(Failure::NotSupported)
}

fn ecc_errors(device: Handle, kind: c_uint) -> Result<c_ulonglong, Failure> {
    let gpu = driver::answering(device)?;
    match kind {
        _ if !gpu.has_ecc => Err(Failure::NotSupported),
        ERROR_TYPES.. => Err(Failure::InvalidArgument),
        0 => Ok(0),
        _ => Ok(gpu.faults.ecc_errors),
    }
}

fn wait(set: Handle, milliseconds: c_uint) -> Result<EventData, Failure> {
    let event = driver::wait_for_event(set, Duration::from_millis(milliseconds.into()))?;
    Ok(EventData {
        device: driver::handle(event.gpu),
        kind: event.kind,
        data: event.data,
        gpu_instance: NO_INSTANCE,
        compute_instance: NO_INSTANCE,
    })
}
