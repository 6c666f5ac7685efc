//! The two system calls that Rust's own library does not have.
#![expect(unsafe_code, reason = "they are called through C")]

use std::ffi::{CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

unsafe extern "C" {
    /// mknod(2).
    fn mknod(path: *const c_char, mode: c_uint, device: u64) -> c_int;
    /// mount(2).
    fn mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        options: *const c_void,
    ) -> c_int;
}

/// `S_IFCHR`.
const CHARACTER_DEVICE: c_uint = 0o020_000;
/// `MS_BIND`.
const BIND: c_ulong = 0x1000;

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn checked(code: c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes a character device of numbers below 256 (minor) and 4096 (major).
///
/// # Errors
/// The kernel's.
pub fn make_device(path: &Path, major: u32, minor: u32) -> io::Result<()> {
    let path = text(path)?;
    // SAFETY: the path is ended by a zero byte and lives during the call.
    checked(unsafe { mknod(path.as_ptr(), CHARACTER_DEVICE | 0o666, u64::from(major << 8 | minor)) })
}

/// Mounts an empty file system in memory.
///
/// # Errors
/// The kernel's.
pub fn mount_memory(target: &Path) -> io::Result<()> {
    let target = text(target)?;
    let (name, options) = (c"tmpfs", c"size=1m,mode=755");
    // SAFETY: all texts are ended by a zero byte and live during the call.
    checked(unsafe { mount(name.as_ptr(), target.as_ptr(), name.as_ptr(), 0, options.as_ptr().cast()) })
}

/// Shows a file in the place of another.
///
/// # Errors
/// The kernel's.
pub fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let (source, target) = (text(source)?, text(target)?);
    // SAFETY: both texts are ended by a zero byte and live during the call; the kernel reads neither kind nor options.
    checked(unsafe { mount(source.as_ptr(), target.as_ptr(), ptr::null(), BIND, ptr::null()) })
}
