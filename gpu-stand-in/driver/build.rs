//! Gives the library the name that programs load it by, and leaves out what only a debugger reads: it is copied into
//! every machine with a stand-in.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnvidia-ml.so.1");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--strip-all");
    println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
}
