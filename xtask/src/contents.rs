//! The table of contents that `cargo xtask` prints when it is given nothing to do.

/// The commands, in the order in which a new user needs it.
pub const TABLE: &str = "\
cargo xtask: from one cluster.yaml to a lab of machines on this computer

  Start here
    lab up [CLUSTER]      install all that is missing (asks once), build the lab, start it
    test                  install all that is missing (asks once), run the tests
    doctor                what this computer can do, and how to mend what it cannot
    setup                 only install all that is missing

  A lab (all of them: cargo xtask lab --help)
    lab plan|up|down|destroy|status
    lab ssh|exec|console|logs|topology|proxy|gc
    vm start|stop|restart|status MACHINE
    check [CLUSTER]       mistakes in a cluster file, or in any inventory (--inventory DIR)
    image …               base images: build, list, remove

  Kubespray
    kubespray fetch       the pinned commit and the Ansible that it asks for
    kubespray index|diff  every variable and version that a release knows; what the next one changes
    kubespray status|clean|play
    inventory render|diff [CLUSTER]   write what Kubespray is given, or show what that would change
    inventory check [CLUSTER]   prove what Kubespray is given, without a machine

  Artefacts (every file and container image that a deploy needs)
    artifacts list [CLUSTER]          those needed, their sources, those missing
    artifacts fetch|build [CLUSTER]   from upstream or mirrors, or compiled here
    artifacts verify|export|import|gc

  A cluster
    cloud start|stop|status|destroy [CLUSTER]   all of it in one word (default: cloud-cluster)
    deploy [CLUSTER]      Kubernetes on the machines of a lab, by Kubespray
    deploy scale|remove-node|upgrade|reset|recover-control-plane
    gpu-operator install|status|validate|values|remove [CLUSTER]
    validate [CLUSTER]    what the cluster can do, seen from inside
    e2e [CLUSTER]         up, deploy, validate, destroy: report.json and junit.xml
    lab kubectl|kubeconfig|proxy|enter

  For contributors
    lint                  formatting, clippy, licences, house rules
    ci                    exactly what CI runs: lint, then every test
    bench                 the project's own measurements
    soak [COMMAND…]       kills long commands at random moments, and sees that they go on

CLUSTER is a name under inventories/ or a path; without one it is `dev`.
Every command takes --help. --yes (or -y) installs without asking.
";
