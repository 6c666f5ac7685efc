use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::*;
use crate::fixtures;
use crate::identity::MachineIdentity;
use crate::identity::boot::{Content, Entry, identity_entries};

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

fn programs() -> Programs {
    let bytes = |text: &str| text.as_bytes().to_vec();
    Programs { nvml: bytes("nvml"), cuda: bytes("cuda"), smi: bytes("smi"), control: bytes("control") }
}

/// Entries as lines of a listing, files with their content.
fn listed(entries: Vec<Entry>) -> String {
    let mut all = String::new();
    for Entry { path, permissions, owner, content } in entries {
        writeln!(all, "{permissions:o} {owner} {path}").unwrap();
        if let Content::File(bytes) = content {
            let text = String::from_utf8(bytes).unwrap().replace('\0', "");
            text.trim_end().lines().for_each(|line| writeln!(all, "  | {line}").unwrap());
        }
    }
    all
}

#[test]
fn files_of_machine_are_library_with_block_programs_and_units() {
    let gpus = planned("gpu", &machine("gpu-worker-1", &["RTX A6000", "Tesla T4"]));
    insta::assert_snapshot!(listed(files(&gpus, &programs())));
}

#[test]
fn files_without_stand_ins_mask_the_unit_of_an_earlier_start() {
    assert_eq!(
        listed(files_without()),
        "755 0 etc/systemd/system\n644 0 etc/systemd/system/gpu-stand-in.service\n"
    );
}

#[rstest::rstest]
#[case::with(files(&planned("gpu", &machine("a", &["L4"])), &programs()))]
#[case::without(files_without())]
fn files_come_after_their_directories_behind_an_identity(#[case] extra: Vec<Entry>) {
    let identity = MachineIdentity { extra, ..fixtures::identity("control-plane") };
    let mut made = BTreeSet::from([String::new()]);
    for entry in identity_entries(&identity) {
        let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        assert!(made.contains(parent), "{} has no parent yet", entry.path);
        assert!(
            entry.content != Content::Directory || made.insert(entry.path.clone()),
            "{} is twice",
            entry.path
        );
    }
}

#[test]
fn block_of_most_gpus_has_room_for_faults() {
    let longest = MODELS.iter().max_by_key(|model| model.product.len()).unwrap();
    let block = block::block(&planned("gpu", &machine("a", &[longest.name; MOST_OF_A_MACHINE])));
    assert_eq!(block.len(), BLOCK_LENGTH);
    let text = String::from_utf8(block).unwrap();
    // A line of faults for each GPU, and sixteen events.
    let faults = MOST_OF_A_MACHINE * "fault 0 xid=100 removed hot ecc=1000\n".len()
        + 16 * "event 100000 0 8 100\n".len();
    assert!(text.trim_end().len() + faults < BLOCK_LENGTH, "{}", text.trim_end().len());
}
