//! Storage: one pool of a lab's disks, each a clone of a base image.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use lab_core::libvirt_xml::{VolumeRecord, pool_xml, read_volume};
use lab_core::units::Bytes;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;

use super::super::Storage;
use super::{Libvirt, ended, optional};

/// How much of a file is handed to libvirt at once; its own protocol carries at most 4 MiB.
const CHUNK: usize = 1 << 20;

impl Storage for Libvirt {
    fn ensure_pool(&self, name: &str, path: &str) -> anyhow::Result<()> {
        let pool = match optional(self.connection.lookup_storage_pool_by_name(name))? {
            Some(pool) => pool,
            None => self
                .connection
                .define_storage_pool_xml(&pool_xml(name, path), 0)
                .context("libvirt refused the storage pool's definition")?,
        };
        if pool.is_active()? {
            return pool.refresh(0).with_context(|| format!("cannot read the storage pool `{name}`"));
        }
        pool.build(0).with_context(|| format!("cannot make the folder of the storage pool, `{path}`"))?;
        pool.create(0).with_context(|| format!("cannot start the storage pool `{name}`"))
    }

    fn volumes(&self, pool: &str) -> anyhow::Result<Vec<VolumeRecord>> {
        let Some(pool) = optional(self.connection.lookup_storage_pool_by_name(pool))? else {
            return Ok(vec![]);
        };
        if !pool.is_active()? {
            return Ok(vec![]);
        }
        let mut found = Vec::new();
        for volume in pool.list_all_volumes(0).context("cannot list the disks")? {
            let Some(xml) = optional(volume.xml_desc(0))? else { continue };
            found.push(read_volume(&xml)?);
        }
        Ok(found)
    }

    fn create_volume(&self, pool: &str, name: &str, xml: &str) -> anyhow::Result<String> {
        self.remove_volume(pool, name)?;
        let pool = self.pool(pool)?;
        let volume = StorageVol::create_xml(&pool, xml, 0)
            .with_context(|| format!("cannot make the disk `{name}`"))?;
        Ok(volume.path()?)
    }

    fn grow_volume(&self, pool: &str, name: &str, capacity: Bytes) -> anyhow::Result<()> {
        let volume = self.pool(pool)?.lookup_storage_vol_by_name(name)?;
        volume.resize(capacity.0, 0).with_context(|| format!("cannot make the disk `{name}` bigger"))
    }

    fn volume_path(&self, pool: &str, name: &str) -> anyhow::Result<Option<String>> {
        let volume = optional(self.pool(pool)?.lookup_storage_vol_by_name(name))?;
        volume.map(|volume| volume.path().map_err(Into::into)).transpose()
    }

    fn upload_volume(&self, pool: &str, name: &str, from: &Path) -> anyhow::Result<()> {
        let volume = self.pool(pool)?.lookup_storage_vol_by_name(name)?;
        let mut file = File::open(from).with_context(|| format!("cannot open `{}`", from.display()))?;
        let length = file.metadata()?.len();
        let stream = Stream::new(&self.connection, 0)?;
        volume.upload(&stream, 0, length, 0).with_context(|| format!("cannot fill the disk `{name}`"))?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            let mut sent = 0;
            while sent < count {
                let taken = stream
                    .send(&buffer[sent..count])
                    .with_context(|| format!("cannot fill the disk `{name}`"))?;
                sent += usize::try_from(taken).context("libvirt's stream would block")?;
            }
        }
        stream.finish().with_context(|| format!("cannot fill the disk `{name}`"))
    }

    fn remove_volume(&self, pool: &str, name: &str) -> anyhow::Result<()> {
        let Some(pool) = optional(self.connection.lookup_storage_pool_by_name(pool))? else { return Ok(()) };
        let Some(volume) = optional(pool.lookup_storage_vol_by_name(name))? else { return Ok(()) };
        ended(volume.delete(0)).with_context(|| format!("cannot remove the disk `{name}`"))
    }

    fn pools(&self) -> anyhow::Result<Vec<String>> {
        let pools = self.connection.list_all_storage_pools(0).context("cannot list the storage pools")?;
        Ok(pools.iter().map(StoragePool::name).collect::<Result<_, _>>()?)
    }

    fn remove_pool(&self, name: &str) -> anyhow::Result<()> {
        let Some(pool) = optional(self.connection.lookup_storage_pool_by_name(name))? else { return Ok(()) };
        if !pool.is_active()? {
            // Only an active pool knows what lies in its folder. A folder that is gone already cannot be made active.
            let _ = pool.create(0);
        }
        if pool.is_active()? {
            pool.refresh(0)?;
            for volume in pool.list_all_volumes(0)? {
                ended(volume.delete(0)).with_context(|| format!("cannot empty the storage pool `{name}`"))?;
            }
            ended(pool.destroy()).with_context(|| format!("cannot stop the storage pool `{name}`"))?;
            // The folder may hold foreign files; then it stays.
            let _ = pool.delete(0);
        }
        ended(pool.undefine()).with_context(|| format!("cannot remove the storage pool `{name}`"))
    }
}

impl Libvirt {
    fn pool(&self, name: &str) -> anyhow::Result<StoragePool> {
        self.connection
            .lookup_storage_pool_by_name(name)
            .with_context(|| format!("libvirt has no storage pool `{name}`"))
    }
}
