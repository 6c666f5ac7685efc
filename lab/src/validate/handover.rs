//! Controllers of which one at a time is in charge, after their machines were started: the lease of one that ended with
//! its machine is set free for the one that started with it.
//!
//! A candidate for such a lease waits from its first look at it for as long as the lease lasts, 15 seconds
//! (`LeaseDuration` of client-go's tools/leaderelection), because it cannot know whether the holder lives. The lab knows when it started
//! the holder's machine.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt as _};

use super::access::{Looked, Site};
use super::suites::cluster::SYSTEM;

/// Releases leases whose holder is gone, as soon as the API answers.
pub async fn release(site: &Site) -> Looked {
    let api: Api<Lease> = Api::namespaced(site.client.clone(), SYSTEM);
    site.settle(api.clone(), || async {
        let found = api.list(&ListParams::default()).await?.items;
        for mut lease in found {
            if ended(&lease, |machine, time| site.is_of_this_run(machine, time)) {
                if let Some(spec) = &mut lease.spec {
                    spec.holder_identity = None;
                }
                // Refused if another holder took the lease since it was read.
                api.replace(&lease.name_any(), &PostParams::default(), &lease).await?;
            }
        }
        Ok(Ok(vec![]))
    })
    .await
}

/// Whether the holder of a lease renewed it last in an earlier run of its machine. Kubernetes' own controllers are called
/// by their machine, `_` and a number that is drawn by lot (cmd/kube-controller-manager/app).
fn ended(lease: &Lease, is_of_this_run: impl Fn(&str, Timestamp) -> bool) -> bool {
    let Some(spec) = &lease.spec else { return false };
    let machine = spec.holder_identity.as_deref().and_then(|holder| holder.rsplit_once('_'));
    match (machine, &spec.renew_time) {
        (Some((machine, _)), Some(renewed)) => !is_of_this_run(machine, renewed.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::before_its_machine_was_started(Some("k1_7f"), Some(90), true)]
    #[case::since(Some("k1_7f"), Some(110), false)]
    #[case::by_no_machine(Some("apiserver-x_7f"), Some(90), false)]
    #[case::free_already(None, Some(90), false)]
    #[case::never_renewed(Some("k1_7f"), None, false)]
    fn lease_ends_with_machine_of_its_holder(
        #[case] holder: Option<&str>,
        #[case] renewed: Option<i64>,
        #[case] is_ended: bool,
    ) {
        let spec = LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            renew_time: renewed.map(|second| MicroTime(Timestamp::from_second(second).unwrap())),
            ..LeaseSpec::default()
        };
        let lease = Lease { spec: Some(spec), ..Lease::default() };
        let is_of_this_run = |machine: &str, time: Timestamp| machine != "k1" || time.as_second() >= 100;
        assert_eq!(ended(&lease, is_of_this_run), is_ended);
    }
}
