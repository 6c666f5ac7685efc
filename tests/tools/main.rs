//! Real tools read what the lab writes: Ansible, OpenSSH, libvirt, cpio. No machine is started.

mod access;
