//! The checks that there are, a file a suite. A new check is an entry in the list of its suite.

use lab_core::needs::Need;

use super::check::Check;

pub mod cluster;
pub mod pods;

/// Every check, suite by suite.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [cluster::CHECKS, pods::CHECKS].into_iter().flatten()
}

/// The checks of these names, all where none is named. Where probes do not come up, that must fail, because the checks
/// that need them are skipped then: the check of them runs beside those.
pub fn chosen(ids: &[String]) -> Vec<&'static Check> {
    let named = |check: &Check| ids.is_empty() || ids.iter().any(|id| id == check.id);
    let needs_probes = all().any(|check| named(check) && check.needs.contains(&Need::Probes));
    all().filter(|check| named(check) || needs_probes && check.id == pods::PROBES).collect()
}
