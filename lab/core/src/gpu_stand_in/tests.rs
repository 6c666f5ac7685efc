use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::*;
use crate::fixtures;

fn machine(name: &str, models: &[&str]) -> MachineSpec {
    let gpus = models.iter().map(|model| GpuRequest::StandIn((*model).to_owned())).collect();
    MachineSpec { gpus, ..fixtures::machine(name, 12) }
}

#[test]
fn plan_of_every_model_is_derived_from_names_and_slot() {
    let mut all = String::new();
    for model in MODELS {
        let planned = planned("gpu", &machine("gpu-worker-1", &[model.name]));
        writeln!(all, "{planned:#?}").unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn plan_has_unique_uuids_and_addresses() {
    let models = ["Tesla T4"; MOST_OF_A_MACHINE];
    let machines = ["a", "b", "c"].map(|name| machine(name, &models));
    let plans: Vec<Vec<PlannedGpu>> = ["one", "two"]
        .iter()
        .flat_map(|cluster| machines.iter().map(move |machine| planned(cluster, machine)))
        .collect();
    let uuids: BTreeSet<&str> = plans.iter().flatten().map(|gpu| gpu.uuid.as_str()).collect();
    assert_eq!(uuids.len(), 2 * 3 * MOST_OF_A_MACHINE);
    for plan in &plans {
        let addresses: BTreeSet<&str> = plan.iter().map(|gpu| gpu.address.as_str()).collect();
        assert_eq!(addresses.len(), MOST_OF_A_MACHINE);
        assert!(plan.iter().zip(0..).all(|(gpu, index)| gpu.index == index));
    }
    let bases: BTreeSet<&str> = plans.iter().map(|plan| plan[0].address.as_str()).collect();
    assert!(bases.len() > 1, "machines have buses of their own: {bases:?}");
}

#[test]
fn plan_leaves_physical_gpus_out() {
    let gpus =
        vec![GpuRequest::Model("RTX A6000".to_owned()), GpuRequest::Address("0000:65:00.0".to_owned())];
    assert_eq!(planned("gpu", &MachineSpec { gpus, ..fixtures::machine("a", 12) }), []);
}

#[test]
fn every_model_says_that_it_is_a_stand_in() {
    for model in MODELS {
        assert!(model.product.ends_with(" STAND-IN"), "{}", model.product);
        let label = model.product.replace(' ', "-") + "-SHARED";
        assert!(label.len() <= 63, "GPU Feature Discovery's label is one of Kubernetes: {label}");
    }
}
