//! How long the rest of a run will take, learnt from an earlier run of the same plays.

use serde::{Deserialize, Serialize};

use super::follow::Follower;

/// How long each task of a run took, in the order of the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// Its plays.
    pub plays: Vec<PlayTime>,
}

/// The tasks of a play.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlayTime {
    /// Its name.
    pub name: String,
    /// Its tasks: name, and seconds from its beginning to that of the next one.
    pub tasks: Vec<(String, f64)>,
}

impl PlayTime {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), tasks: Vec::new() }
    }
}

/// Estimates the time left of a run.
#[derive(Debug, Clone)]
pub struct Estimate {
    /// Seconds that are left when the task at this place begins, by play and task.
    left: Vec<Vec<f64>>,
    history: History,
    /// The play and task of the history at which the run is.
    at: Option<(usize, usize)>,
    /// How many plays and tasks of the run were looked at.
    seen: (usize, usize),
}

impl Estimate {
    /// Makes an estimate from recorded times.
    pub fn new(history: History) -> Self {
        let mut sum = 0.0;
        let mut left: Vec<Vec<f64>> = Vec::new();
        for play in history.plays.iter().rev() {
            let mut of_play: Vec<f64> = Vec::new();
            for (_, seconds) in play.tasks.iter().rev() {
                sum += seconds;
                of_play.push(sum);
            }
            of_play.reverse();
            left.push(of_play);
        }
        left.reverse();
        Self { left, history, at: None, seen: (0, 0) }
    }

    /// How many seconds are left at the time of the last event, where the run is one that is known. A task
    /// that is new takes no time; a run that leaves out tasks of the earlier one jumps ahead; a task that
    /// takes longer than before delays the tasks after it.
    pub fn left(&mut self, run: &Follower) -> Option<f64> {
        let now = run.history();
        let (plays, tasks) = (now.plays.len(), now.plays.last().map_or(0, |play| play.tasks.len()));
        if (plays, tasks) != self.seen {
            self.seen = (plays, tasks);
            if let Some(found) = self.find(&now) {
                self.at = Some(found);
            }
        }
        let (play, task) = self.at?;
        let (_, usual) = self.history.plays.get(play)?.tasks.get(task)?;
        Some(self.left.get(play)?.get(task)? - run.in_task().min(*usual))
    }

    /// The place of the run's last task in the history, never before the place that was found last.
    fn find(&self, run: &History) -> Option<(usize, usize)> {
        let last = run.plays.last()?;
        let (task, _) = last.tasks.last()?;
        let nth_play = run.plays.iter().filter(|play| play.name == last.name).count() - 1;
        let play = nth(self.history.plays.iter().map(|play| play.name == last.name), nth_play)?;
        let nth_task = last.tasks.iter().filter(|(name, _)| name == task).count() - 1;
        let task = nth(self.history.plays[play].tasks.iter().map(|(name, _)| name == task), nth_task)?;
        Some((play, task)).filter(|found| self.at.is_none_or(|at| *found >= at))
    }
}

/// The place of the n-th that is true, from 0.
fn nth(mut found: impl Iterator<Item = bool>, n: usize) -> Option<usize> {
    let mut before = 0;
    found.position(|found| {
        before += usize::from(found);
        found && before == n + 1
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::kubespray::events::{Event, Line};

    fn history() -> History {
        let play = |name: &str, tasks: &[(&str, f64)]| PlayTime {
            name: name.to_owned(),
            tasks: tasks.iter().map(|(name, seconds)| ((*name).to_owned(), *seconds)).collect(),
        };
        History {
            plays: vec![
                play("a", &[("x", 1.0), ("y", 10.0), ("x", 2.0)]),
                play("b", &[("z", 20.0)]),
                play("a", &[("x", 5.0)]),
            ],
        }
    }

    /// The time left after each of these words, a second apart: `name:` begins a play, another word a task.
    fn lefts(words: &str) -> Vec<Option<f64>> {
        let (mut run, mut estimate) = (Follower::default(), Estimate::new(history()));
        let mut lefts = Vec::new();
        for (at, word) in words.split(' ').enumerate() {
            let event = match word.strip_suffix(':') {
                Some(name) => Event::Play { name: name.to_owned() },
                None => Event::Task { name: word.to_owned(), path: None },
            };
            run.take(&Line { at: at as f64, event });
            lefts.push(estimate.left(&run));
        }
        lefts
    }

    #[rstest]
    #[case::the_same("a: x y x b: z a: x", &[None, Some(38.0), Some(37.0), Some(27.0), Some(26.0), Some(25.0), Some(24.0), Some(5.0)])]
    #[case::something_new("a: x new y", &[None, Some(38.0), Some(38.0), Some(37.0)])]
    #[case::something_left_out("a: x b: z", &[None, Some(38.0), Some(37.0), Some(25.0)])]
    #[case::another_run("c: q", &[None, None])]
    fn estimate_equals_rest_of_earlier_run(#[case] words: &str, #[case] expected: &[Option<f64>]) {
        assert_eq!(lefts(words), expected);
    }

    #[test]
    fn run_gives_history_of_next() {
        let mut run = Follower::default();
        for (at, event) in [
            (0.0, Event::Play { name: "a".into() }),
            (1.0, Event::Task { name: "x".into(), path: None }),
            (4.0, Event::Task { name: "y".into(), path: None }),
            (9.0, Event::Play { name: "b".into() }),
        ] {
            run.take(&Line { at, event });
        }
        let tasks = vec![("x".to_owned(), 3.0), ("y".to_owned(), 5.0)];
        let plays = vec![PlayTime { name: "a".into(), tasks }, PlayTime { name: "b".into(), tasks: vec![] }];
        assert_eq!(run.history(), History { plays });
    }
}
