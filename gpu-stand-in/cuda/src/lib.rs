//! `libcuda.so.1` without a GPU. Container runtimes look for the file; to a program that calls it, it answers that there is no
//! device, so that none takes a stand-in for something that computes.
#![expect(unsafe_code, reason = "C finds functions by their plain names")]

use std::ffi::{c_int, c_uint};

/// `CUDA_ERROR_INVALID_VALUE` of NVIDIA's CUDA Driver API.
const INVALID_VALUE: c_int = 1;
/// `CUDA_ERROR_NO_DEVICE`.
const NO_DEVICE: c_int = 100;
/// 13.0, as the API writes versions. The NVML of the stand-in says the same.
const VERSION: c_int = 13_000;

/// `cuInit`: there is no device.
#[unsafe(no_mangle)]
pub extern "C" fn cuInit(_flags: c_uint) -> c_int {
    NO_DEVICE
}

/// `cuDeviceGetCount`: there is no device.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetCount(_count: *mut c_int) -> c_int {
    NO_DEVICE
}

/// `cuDriverGetVersion`: the one function that answers without a device.
///
/// # Safety
/// `version` is null or points to a number that the caller owns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> c_int {
    if version.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: it is not null, and the caller owns it.
    unsafe { version.write(VERSION) };
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_answers_that_there_is_no_device() {
        let (mut version, mut count) = (0, 0);
        assert_eq!((cuInit(0), cuDeviceGetCount(&raw mut count)), (NO_DEVICE, NO_DEVICE));
        // SAFETY: null is refused, and the number lives during the call.
        let answers =
            unsafe { (cuDriverGetVersion(std::ptr::null_mut()), cuDriverGetVersion(&raw mut version)) };
        assert_eq!((answers, version), ((INVALID_VALUE, 0), VERSION));
    }
}
