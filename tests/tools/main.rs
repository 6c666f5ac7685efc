//! Real tools read what the lab writes: Ansible, OpenSSH, libvirt's schema checker, cpio, blkid. No machine is
//! started.

mod access;
mod check;
mod definitions;
mod dev;
mod identity;
mod inventories;
mod inventory;
