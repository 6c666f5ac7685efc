//! Real tools read what the lab writes, and obey it: Ansible, OpenSSH, libvirt's schema checker, cpio,
//! blkid, CMake, make. No machine is started.

mod access;
mod check;
mod definitions;
mod dev;
mod gpu_operator_role;
mod identity;
mod inventories;
mod inventory;
mod targets;
