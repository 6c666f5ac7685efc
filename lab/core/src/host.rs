//! Facts about the computer that checks and plans need, as plain data. Collected by `lab`; nothing
//! here reads the computer.

use ipnet::Ipv4Net;

use crate::units::Bytes;

/// Facts about the host where machines will run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    /// Networks the computer already routes, with the interface each leaves by. Left out:
    /// default routes, and those by bridges of the lab that is checked, or its second `up` would be refused.
    pub routes: Vec<(Ipv4Net, String)>,
    /// Memory that can be given to machines now, where known.
    pub available_memory: Option<Bytes>,
    /// Online processors, where known.
    pub cpus: Option<u32>,
    /// The disk that the labs of this checkout lie on, where known.
    pub disk: Option<DiskFacts>,
}

/// A file system of the computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskFacts {
    /// Bytes that programs of every user may still write.
    pub free: Bytes,
    /// Its size.
    pub total: Bytes,
}
