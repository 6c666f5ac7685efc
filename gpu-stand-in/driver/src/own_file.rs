//! Where this library lies, as the loader found it. In a container that is where the runtime mounted it.
#![expect(unsafe_code, reason = "the loader is asked through C")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr;

/// glibc's `Dl_info` (dlfcn.h).
#[repr(C)]
struct LoadedObject {
    file_name: *const c_char,
    base: *mut c_void,
    symbol_name: *const c_char,
    symbol: *mut c_void,
}

unsafe extern "C" {
    /// dladdr(3): which loaded file an address is in; 0 if none.
    fn dladdr(address: *const c_void, found: *mut LoadedObject) -> c_int;
}

/// The file of this library. None where the loader does not know it, as in a program that it is linked into statically.
pub(crate) fn path() -> Option<PathBuf> {
    let mut found = LoadedObject {
        file_name: ptr::null(),
        base: ptr::null_mut(),
        symbol_name: ptr::null(),
        symbol: ptr::null_mut(),
    };
    // SAFETY: the address is one of this library's own code, and `found` lives during the call.
    let known = unsafe { dladdr(path as *const c_void, &raw mut found) };
    if known == 0 || found.file_name.is_null() {
        return None;
    }
    // SAFETY: the loader's text is ended by a zero byte, and lives as long as the library is loaded.
    let name = unsafe { CStr::from_ptr(found.file_name) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}
