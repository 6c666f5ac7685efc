//! The tiers of tests: one table of their names, which tests they hold, what they need, and how long they may take.

use clap::ValueEnum;

use crate::junit::Case;

/// A tier of tests, by the parts of it that are real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// Nothing but data; needs only Rust.
    Core,
    /// The programs themselves, with stand-ins for everything outside.
    Cli,
    /// Real Ansible and libvirt, no machines.
    Tools,
    /// A handful of real machines of both kinds: up, ssh, ping, kill, destroy, events.
    Smoke,
    /// Real Kubespray, no machines.
    Kubespray,
    /// The store of artefacts with real servers, no machines.
    Artifacts,
    /// The GPU Operator on a real control plane, no machines: nodes are played.
    Api,
    /// Real machines in every situation.
    Lab,
    /// A whole Kubernetes on containers, deployed, checked, broken, saved and restored.
    Cluster,
    /// Tests that take too long for every change. Only on request.
    Nightly,
}

/// The tiers that run unless more are requested.
pub const QUICK: [Tier; 4] = [Tier::Core, Tier::Cli, Tier::Tools, Tier::Smoke];

/// The tiers that every change has to pass, from the quickest to the slowest: all but the one that takes too long.
pub const REQUIRED: [Tier; 9] = [
    Tier::Core,
    Tier::Cli,
    Tier::Tools,
    Tier::Smoke,
    Tier::Kubespray,
    Tier::Artifacts,
    Tier::Api,
    Tier::Lab,
    Tier::Cluster,
];

/// The tests of `lab-tests::lab` that are the tier `smoke`, by how their names begin.
const SMOKE: [&str; 3] = ["interrupted::", "life::", "killed::containers_survive_"];

impl Tier {
    /// Its name for people; the packages to be built for it; its binary, where it is one; the seconds that its tests
    /// may take together, on two processors that do nothing else and with an empty cache.
    fn row(self) -> (&'static str, &'static [&'static str], &'static str, u32) {
        match self {
            // Only the first does without libvirt's headers.
            Self::Core => ("core", &["xtask", "lab-cache", "lab-core"], "", 150),
            Self::Cli => ("cli", &["lab", "gpu-stand-in-driver", "gpu-stand-in-cuda"], "", 180),
            Self::Tools => ("tools", &["lab-tests"], "lab-tests::tools", 120),
            Self::Smoke => ("smoke", &["lab-tests"], "lab-tests::lab", 240),
            Self::Kubespray => ("kubespray", &["lab-tests"], "lab-tests::kubespray", 1200),
            Self::Artifacts => ("artifacts", &["lab-tests"], "lab-tests::artifacts", 900),
            // Where the store is empty, one of the two compiles what it lacks, and the other one waits.
            Self::Api => ("api", &["lab-tests"], "lab-tests::api", 1800),
            Self::Lab => ("lab", &["lab-tests"], "lab-tests::lab", 1200),
            Self::Cluster => ("cluster", &["lab-tests"], "lab-tests::cluster", 3000),
            Self::Nightly => ("nightly", &["lab-tests"], "lab-tests::nightly", 4 * 3600),
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The packages to be built for it.
    pub fn packages(self) -> &'static [&'static str] {
        self.row().1
    }

    /// How many seconds its tests may take together.
    pub fn budget(self) -> u32 {
        self.row().3
    }

    /// Whether a test belongs to it.
    pub fn holds(self, case: &Case) -> bool {
        let (_, packages, binary, _) = self.row();
        if binary.is_empty() {
            return packages.contains(&case.binary.split("::").next().unwrap_or_default());
        }
        let is_smoke = || SMOKE.iter().any(|start| case.name.starts_with(start));
        case.binary == binary
            && match self {
                Self::Smoke => is_smoke(),
                Self::Lab => !is_smoke(),
                _ => true,
            }
    }

    /// The same for nextest.
    fn filter(self) -> String {
        let (_, packages, binary, _) = self.row();
        if binary.is_empty() {
            let of = packages.iter().map(|package| format!("package(={package})"));
            return of.collect::<Vec<_>>().join(" | ");
        }
        let smoke = format!("test(/^({})/)", SMOKE.join("|"));
        match self {
            Self::Smoke => format!("(binary_id(={binary}) & {smoke})"),
            Self::Lab => format!("(binary_id(={binary}) & !{smoke})"),
            _ => format!("binary_id(={binary})"),
        }
    }
}

/// The packages to be built for tiers.
pub fn packages(tiers: &[Tier]) -> Vec<&'static str> {
    let mut packages: Vec<_> = tiers.iter().flat_map(|tier| tier.packages()).copied().collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// The tests of tiers, for nextest.
pub fn filter(tiers: &[Tier]) -> String {
    tiers.iter().map(|tier| tier.filter()).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_tier_does_without_libvirt() {
        assert_eq!(packages(&[Tier::Core]), ["lab-cache", "lab-core", "xtask"]);
        assert_eq!(
            packages(&REQUIRED),
            [
                "gpu-stand-in-cuda",
                "gpu-stand-in-driver",
                "lab",
                "lab-cache",
                "lab-core",
                "lab-tests",
                "xtask"
            ]
        );
    }

    #[test]
    fn test_belongs_to_one_required_tier() {
        let case = |binary: &str, name: &str| Case {
            binary: binary.into(),
            name: name.into(),
            failed: false,
            seconds: 0.0,
        };
        let tiers = |case: &Case| REQUIRED.into_iter().filter(|tier| tier.holds(case)).collect::<Vec<_>>();
        assert_eq!(tiers(&case("lab-tests::lab", "life::a")), [Tier::Smoke]);
        assert_eq!(tiers(&case("lab-tests::lab", "killed::up_goes_on")), [Tier::Lab]);
        assert_eq!(tiers(&case("lab::bin/lab", "life::a")), [Tier::Cli]);
        assert_eq!(tiers(&case("lab-core", "a")), [Tier::Core]);
        assert_eq!(tiers(&case("lab-tests::api", "stories::a")), [Tier::Api]);
    }
}
