//! Networks.

use anyhow::Context as _;
use lab_core::libvirt_xml::{NetworkHost, NetworkRecord, network_host_xml, read_network};
use virt::error::ErrorNumber;
use virt::network::Network;
use virt::sys;

use super::super::Networks;
use super::{Libvirt, ended, optional};

const ADD: sys::virNetworkUpdateCommand = sys::VIR_NETWORK_UPDATE_COMMAND_ADD_LAST;
const DELETE: sys::virNetworkUpdateCommand = sys::VIR_NETWORK_UPDATE_COMMAND_DELETE;

impl Networks for Libvirt {
    fn networks(&self) -> anyhow::Result<Vec<(NetworkRecord, bool)>> {
        let mut found = Vec::new();
        for network in self.connection.list_all_networks(0).context("cannot list the networks")? {
            let definition = match network.xml_desc(sys::VIR_NETWORK_XML_INACTIVE) {
                // The test driver knows no flags.
                Err(error) if error.code().known() == Some(virt::error::ErrorNumber::InvalidArg) => {
                    network.xml_desc(0)
                }
                described => described,
            };
            let Some(definition) = optional(definition)? else { continue };
            if let Some(record) = read_network(&definition)? {
                found.push((record, network.is_active()?));
            }
        }
        Ok(found)
    }

    fn define_network(&self, xml: &str) -> anyhow::Result<()> {
        self.connection.define_network_xml(xml).context("libvirt refused the network's definition")?;
        Ok(())
    }

    fn start_network(&self, name: &str) -> anyhow::Result<()> {
        let network = self.network(name)?;
        if !network.is_active()? {
            network.create().with_context(|| format!("cannot start the network `{name}`"))?;
        }
        Ok(())
    }

    fn update_network_hosts(
        &self,
        name: &str,
        remove: &[NetworkHost],
        add: &[NetworkHost],
    ) -> anyhow::Result<()> {
        let network = self.network(name)?;
        let update = |host: &NetworkHost, command, section, xml: &str| {
            let flags = sys::VIR_NETWORK_UPDATE_AFFECT_LIVE | sys::VIR_NETWORK_UPDATE_AFFECT_CONFIG;
            match network.update(command, section, -1, xml, flags) {
                // An interrupted update is repeated: libvirt refuses the parts that are done already.
                Err(error) if error.code().known() != Some(ErrorNumber::OperationInvalid) => {
                    Err(error).with_context(|| format!("cannot change host `{}` of `{name}`", host.name))
                }
                _ => Ok(()),
            }
        };
        // The entry of the DHCP server is what an observer sees, so it changes last.
        for host in remove {
            let (dhcp, dns) = network_host_xml(host);
            update(host, DELETE, sys::VIR_NETWORK_SECTION_DNS_HOST, &dns)?;
            update(host, DELETE, sys::VIR_NETWORK_SECTION_IP_DHCP_HOST, &dhcp)?;
        }
        for host in add {
            let (dhcp, dns) = network_host_xml(host);
            update(host, DELETE, sys::VIR_NETWORK_SECTION_DNS_HOST, &dns)?;
            update(host, ADD, sys::VIR_NETWORK_SECTION_DNS_HOST, &dns)?;
            update(host, ADD, sys::VIR_NETWORK_SECTION_IP_DHCP_HOST, &dhcp)?;
        }
        Ok(())
    }

    fn remove_network(&self, name: &str) -> anyhow::Result<()> {
        let Some(network) = optional(self.connection.lookup_network_by_name(name))? else { return Ok(()) };
        ended(network.destroy()).with_context(|| format!("cannot stop the network `{name}`"))?;
        ended(network.undefine()).with_context(|| format!("cannot remove the network `{name}`"))
    }
}

impl Libvirt {
    fn network(&self, name: &str) -> anyhow::Result<Network> {
        self.connection
            .lookup_network_by_name(name)
            .with_context(|| format!("libvirt has no network `{name}`"))
    }
}
