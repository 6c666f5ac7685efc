use std::collections::BTreeSet;

use rstest::rstest;

use super::*;
use crate::fixtures;

const INSTANCES: Resource = Resource::InotifyInstances;

/// The shipped cluster of three containers.
fn quick() -> Containers {
    Containers { machines: 3, nodes: 3, control_planes: 1 }
}

fn facts(limit: u64) -> Facts {
    let limit = Limit { value: limit, setting: INSTANCES.setting().to_owned() };
    Facts { limits: Limits::from([(INSTANCES, limit)]), ..Facts::default() }
}

fn living(name: &str, containers: Containers, used: u64) -> LivingLab {
    LivingLab { name: name.to_owned(), containers, used: Amounts::from([(INSTANCES, used)]) }
}

#[test]
fn containers_are_counted_by_what_they_run() {
    let mut spec = fixtures::spec();
    assert_eq!(Containers::of(&spec), Containers::default(), "virtual machines have a kernel of their own");
    for machine in &mut spec.machines {
        machine.kind = MachineKind::Container;
    }
    spec.machines[1].kind = MachineKind::Vm;
    spec.machines[2].roles = BTreeSet::from([Role::Etcd]);
    let all = Containers::of(&spec);
    assert_eq!(all, Containers { machines: 3, nodes: 2, control_planes: 2 });
    assert_eq!(all.bare(), Containers { machines: 3, ..Containers::default() });
    let one = Containers::among(&spec, |name| name == "control-plane");
    assert_eq!(one, Containers { machines: 1, nodes: 1, control_planes: 1 });
}

/// Of the usual 128 instances, two clusters were seen to live with version 1 of control groups. With version 2, one does.
#[rstest]
#[case::one(CgroupVersion::One, vec![], 20, true)]
#[case::two(CgroupVersion::One, vec![(3, true)], 10, true)]
#[case::two_beside_a_desktop(CgroupVersion::One, vec![(3, true)], 20, false)]
#[case::three(CgroupVersion::One, vec![(3, true), (3, true)], 0, false)]
#[case::beside_machines_that_are_not_deployed(CgroupVersion::One, vec![(3, false), (3, false)], 20, true)]
#[case::one(CgroupVersion::Two, vec![], 20, true)]
#[case::two(CgroupVersion::Two, vec![(3, true)], 0, false)]
fn clusters_of_three_fit_into_the_usual_limit(
    #[case] cgroups: CgroupVersion,
    #[case] others: Vec<(u64, bool)>,
    #[case] outside: u64,
    #[case] fits: bool,
) {
    // Others count with their estimate, even where their usage is still small.
    let of_lab = |(machines, deployed): (u64, bool)| {
        let containers = Containers { machines, nodes: machines, control_planes: 1 };
        living("other", if deployed { containers } else { containers.bare() }, 4)
    };
    let others: Vec<LivingLab> = others.into_iter().map(of_lab).collect();
    let used = Amounts::from([(INSTANCES, 4 * others.len() as u64 + outside)]);
    let found = shortages(quick(), &Facts { cgroups, others, used, ..facts(128) });
    assert_eq!(found.is_empty(), fits, "{found:?}");
}

/// A fourth machine was one too many on a computer with version 2 of control groups and a dozen of other instances.
#[test]
fn cluster_of_four_fits_with_the_first_version_of_control_groups_only() {
    let four = Containers { machines: 4, nodes: 4, control_planes: 1 };
    let short = |cgroups| {
        shortages(four, &Facts { cgroups, used: Amounts::from([(INSTANCES, 12)]), ..facts(128) }).len()
    };
    assert_eq!((short(CgroupVersion::One), short(CgroupVersion::Two)), (0, 1));
}

#[test]
fn lab_that_lives_already_is_not_counted_twice() {
    let needed = quick().need_to_start(INSTANCES, CgroupVersion::One);
    let in_use = |own| Facts {
        used: Amounts::from([(INSTANCES, own + 5)]),
        own: Amounts::from([(INSTANCES, own)]),
        ..facts(needed + 5)
    };
    for own in [0, 12, needed] {
        assert_eq!(shortages(quick(), &in_use(own)), [], "{own}");
    }
    let [shortage] = shortages(quick(), &in_use(needed + 1)).try_into().unwrap();
    assert_eq!((shortage.needed, shortage.outside), (needed + 1, 5), "usage above the estimate counts");
}

#[test]
fn limits_that_are_not_known_are_not_judged() {
    assert_eq!(shortages(quick(), &Facts { limits: Limits::new(), ..facts(0) }), []);
}

#[test]
fn labs_without_containers_need_nothing() {
    assert_eq!(shortages(Containers::default(), &facts(0)), []);
}

#[test]
fn amounts_at_the_end_of_their_range_do_not_overflow() {
    let used = Amounts::from([(INSTANCES, u64::MAX)]);
    let others = vec![living("a", quick(), u64::MAX), living("b", quick(), 1)];
    assert_eq!(
        shortages(quick(), &Facts { used: used.clone(), own: used, others, ..facts(u64::MAX - 1) }).len(),
        1
    );
}

#[test]
fn shortage_names_its_numbers() {
    let shortage = Shortage {
        resource: INSTANCES,
        limit: Limit { value: 128, setting: "fs.inotify.max_user_instances".to_owned() },
        needed: 100,
        others: vec![("two".to_owned(), 90), ("three".to_owned(), 12)],
        outside: 7,
    };
    insta::assert_snapshot!(shortage, @"100 inotify instances are needed, and 19 of 128 (fs.inotify.max_user_instances) are left beside 90 of the lab `two`, 12 of the lab `three`, 7 of other programs");
    let alone = Shortage { others: Vec::new(), outside: 0, ..shortage };
    insta::assert_snapshot!(alone, @"100 inotify instances are needed, and 128 of 128 (fs.inotify.max_user_instances) are left");
}

/// `doctor` and `setup` have a table of their own, because they link nothing of the lab.
#[test]
fn table_of_xtask_says_what_the_shipped_cluster_needs() {
    let table = include_str!("../../../../xtask/src/limits.rs");
    let source = crate::source::SourceFile {
        path: "cluster.yaml".to_owned(),
        text: include_str!("../../../../inventories/quick/cluster.yaml").to_owned(),
    };
    let spec = crate::cluster::check(&source, None).spec.unwrap();
    assert_eq!(Containers::of(&spec), quick());
    for resource in Resource::ALL {
        let (_, row) = table.split_once(&format!("setting: {:?}", resource.setting())).unwrap();
        let (row, _) = row.split_once('}').unwrap();
        assert!(row.contains(&format!("noun: {:?},", resource.noun())), "{row}");
        let [first, second] =
            [CgroupVersion::One, CgroupVersion::Two].map(|cgroups| quick().need_to_start(resource, cgroups));
        assert!(
            row.contains(&format!("cluster: [{first}, {second}],")),
            "{resource:?} {first} {second}: {row}"
        );
    }
}
