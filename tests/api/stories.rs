//! Two clusters and what happens to each. Most of the time goes into starting a control plane and installing the operator, so
//! that scenes share both.

use lab_tests::gpu_cluster::{GpuCluster, NAME};
use lab_tests::living::shipped;
use lab_tests::needs;

use super::{cut_off, install, refused, vacuous};

#[test]
fn operator_is_refused_installed_changed_and_removed() {
    needs!(Root);
    let file = shipped(NAME);
    let mut cluster = GpuCluster::start(&file);
    let before = cluster.nodes();
    refused::make_older_kinds(&cluster);
    refused::refuses_clusters_of_another_hand(&mut cluster);
    install::installs_in_order(&mut cluster);
    refused::sees_newer_kinds(&cluster);
    install::does_nothing_the_second_time(&mut cluster);
    install::follows_the_cluster_file(&mut cluster, &file);
    install::goes_back_from_refused_values(&mut cluster, &file);
    refused::refuses_another_namespace(&mut cluster, &file);
    // What the file no longer describes is the lab's own to remove all the same.
    install::removes_all(&mut cluster, &before);
}

#[test]
fn operator_goes_on_after_kills_and_is_not_taken_for_ready() {
    needs!(Root);
    let file = shipped(NAME);
    let mut cluster = GpuCluster::start(&file);
    let before = cluster.nodes();
    let planned = std::mem::take(&mut cluster.found);
    cut_off::installations(&mut cluster);
    vacuous::installs_past_states_that_are_ready_for_nothing(&mut cluster, planned);
    vacuous::sees_what_breaks_later(&mut cluster);
    cut_off::upgrade(&mut cluster, &file);
    cut_off::removals(&mut cluster, &before);
}
