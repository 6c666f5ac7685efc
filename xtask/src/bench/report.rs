//! The results of measurements: goals, the table for people, the JSON for programs. Measures nothing.

use std::collections::BTreeMap;

use crate::json::Json;

use super::Measurement;

/// The most that a measurement is to take. That is not required of every computer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    Seconds(f64),
    /// This part of the time of another measurement of the same run.
    Share(f64, &'static str),
    /// It is there to compare others with.
    None,
}

impl Goal {
    fn words(self) -> String {
        match self {
            Self::Seconds(seconds) => format!("{seconds} s"),
            Self::Share(share, other) => format!("{share} of {other}"),
            Self::None => "-".to_owned(),
        }
    }

    /// `None` where it is not known, because there is none or the other measurement failed.
    fn seconds(self, seconds: &BTreeMap<&'static str, Vec<f64>>) -> Option<f64> {
        match self {
            Self::Seconds(goal) => Some(goal),
            Self::Share(share, other) => Some(share * median(seconds.get(other)?)?),
            Self::None => None,
        }
    }
}

/// The middle of some numbers, or the mean of the two middle ones. None of none.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let high = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { high } else { f64::midpoint(sorted[middle - 1], high) })
}

pub(super) fn table(chosen: &[&Measurement], seconds: &BTreeMap<&'static str, Vec<f64>>) -> String {
    let mut lines =
        vec![format!("{:<17}{:>9}{:>19}{:>20}  MET", "MEASUREMENT", "MEDIAN", "LEAST–MOST", "GOAL")];
    for measurement in chosen {
        let values = seconds.get(measurement.name).map_or(&[][..], Vec::as_slice);
        let goal = measurement.goal.words();
        let Some(median) = median(values) else {
            lines.push(format!("{:<17}{:>9}{:>19}{goal:>20}  failed", measurement.name, "-", "-"));
            continue;
        };
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        let spread = format!("{least:.2}–{most:.2} s");
        let met = match measurement.goal.seconds(seconds) {
            None => "-",
            Some(goal) if median <= goal => "yes",
            Some(_) => "no",
        };
        lines.push(format!(
            "{:<17}{:>9}{spread:>19}{goal:>20}  {met}",
            measurement.name,
            format!("{median:.2} s")
        ));
    }
    lines.join("\n")
}

pub(super) fn json(
    chosen: &[&Measurement],
    seconds: &BTreeMap<&'static str, Vec<f64>>,
    computer: Json,
    image: f64,
) -> Json {
    let measurements = chosen.iter().map(|measurement| {
        let values = seconds.get(measurement.name).map_or(&[][..], Vec::as_slice);
        let (median, goal) = (median(values), measurement.goal.seconds(seconds));
        let rounded = |value: f64| Json::Number((value * 1000.0).round() / 1000.0);
        Json::Object(vec![
            ("name", Json::Text(measurement.name.into())),
            ("what", Json::Text(measurement.what.into())),
            ("goal_seconds", goal.map_or(Json::Null, rounded)),
            ("median_seconds", median.map_or(Json::Null, rounded)),
            ("seconds", Json::List(values.iter().copied().map(rounded).collect())),
            ("met", median.zip(goal).map_or(Json::Null, |(median, goal)| Json::Bool(median <= goal))),
        ])
    });
    Json::Object(vec![
        ("computer", computer),
        ("preparation_seconds", Json::Number(image.round())),
        ("measurements", Json::List(measurements.collect())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::choose;

    #[test]
    fn median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn report_shows_goals_met_missed_and_not_measured() {
        let seconds = BTreeMap::from([("cold-xtask", vec![12.0, 14.0, 13.0]), ("destroy", vec![4.5])]);
        let chosen = choose(&[]).unwrap();
        insta::assert_snapshot!(table(&chosen, &seconds), @r"
        MEASUREMENT         MEDIAN         LEAST–MOST                GOAL  MET
        cold-xtask         13.00 s      12.00–14.00 s                15 s  yes
        one-machine              -                  -                 6 s  failed
        four-machines            -                  -                45 s  failed
        four-ansible             -                  -                45 s  failed
        no-op-up                 -                  -                 1 s  failed
        destroy             4.50 s        4.50–4.50 s                 3 s  no
        quick-up                 -                  -                 5 s  failed
        quick-destroy            -                  -                 3 s  failed
        quick-ready              -                  -               125 s  failed
        quick-verdict            -                  -               150 s  failed
        quick-deploy             -                  -  0.3 of quick-plain  failed
        quick-plain              -                  -                   -  failed
        quick-snapshot           -                  -                90 s  failed
        quick-restore            -                  -                 8 s  failed
        cloud-start              -                  -               150 s  failed
        cloud-start-kept         -                  -                15 s  failed
        cloud-status             -                  -                 2 s  failed
        deploy-no-op             -                  -                 3 s  failed
        gpu-ready                -                  -                   -  failed
        gpu-verdict              -                  -               120 s  failed
        kubespray-no-op          -                  -                 1 s  failed
        artifacts-list           -                  -                 1 s  failed
        lint-5000                -                  -              0.25 s  failed
        artifacts-cold           -                  -              1200 s  failed
        artifacts-no-op          -                  -                 1 s  failed
        ");
        insta::assert_snapshot!(json(&chosen[..2], &seconds, Json::Null, 1.0), @r#"
        {
          "computer": null,
          "preparation_seconds": 1,
          "measurements": [
            {
              "name": "cold-xtask",
              "what": "build of xtask from nothing, crates downloaded",
              "goal_seconds": 15,
              "median_seconds": 13,
              "seconds": [
                12,
                14,
                13
              ],
              "met": true
            },
            {
              "name": "one-machine",
              "what": "one machine from nothing to a login over SSH, image built",
              "goal_seconds": 6,
              "median_seconds": null,
              "seconds": [],
              "met": null
            }
          ]
        }
        "#);
    }

    #[test]
    fn goal_may_be_a_part_of_another_measurement() {
        let of = |ours: f64| BTreeMap::from([("quick-deploy", vec![ours]), ("quick-plain", vec![500.0])]);
        let chosen = choose(&["quick-deploy".to_owned(), "quick-plain".to_owned()]).unwrap();
        let met = |ours: f64| {
            let table = table(&chosen, &of(ours));
            table.lines().skip(1).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(met(150.0), ["yes", "-"]);
        assert_eq!(met(151.0), ["no", "-"]);
    }
}
