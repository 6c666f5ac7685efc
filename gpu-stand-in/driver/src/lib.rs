//! `libnvidia-ml.so.1` without a GPU: answers what the cluster file plans, and says everywhere that it is a stand-in.
//!
//! Programs that ask NVIDIA's management library (NVML) for GPUs load this one in machines with stand-ins. Its content is
//! a block of text at the end of its own file ([`block`]), which is read anew at each call, so that a fault that is
//! written there is seen by programs that run already. No configuration lies beside it: container runtimes mount
//! driver libraries into containers, and nothing else.
//!
//! [`driver`] decides, in safe code; `interface` is the boundary to C and the only place with raw pointers, beside
//! `own_file`, which asks the loader where this library lies.

pub mod block;
pub mod driver;
mod interface;
mod own_file;
mod unsupported;
