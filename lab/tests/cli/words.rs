//! Every command of `--help`: wrong words end it with 2 and a sentence, and a story shows it at work.

use lab_tests::Checkout;
use lab_tests::cluster::Cluster;

use super::stories::STORIES;

/// A command that is not made of others, with its line of usage.
struct Leaf {
    words: Vec<String>,
    usage: String,
}

/// The commands of `--help`, from the given one down.
fn leaves(checkout: &Checkout, words: &[String]) -> Vec<Leaf> {
    let asked: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let help = checkout.lab(&asked).answer().ok().stdout;
    let usage = help.lines().find(|line| line.starts_with("Usage:")).expect("help has a usage").to_owned();
    let mut found = Vec::new();
    let takes_no_command = !usage.contains("COMMAND");
    if takes_no_command {
        found.push(Leaf { words: words.to_vec(), usage });
    }
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in commands.take_while(|line| !line.trim().is_empty()) {
        let name = line.split_whitespace().next().expect("the line is not empty");
        let is_name = line.starts_with("  ") && !line.starts_with("   ");
        if is_name && name != "help" {
            found.extend(leaves(checkout, &[words, &[name.to_owned()]].concat()));
        }
    }
    found
}

#[test]
fn every_command_appears_in_a_story() {
    let checkout = super::checkout(&Cluster::new("one", &["node"]));
    for leaf in leaves(&checkout, &[]) {
        let begins = |words: &str| {
            let mut words = words.split(' ');
            leaf.words.iter().all(|word| words.next() == Some(word))
        };
        let appears = STORIES.iter().any(|story| story.iter().any(|(_, words)| begins(words)));
        assert!(appears, "no story has `{}`", leaf.words.join(" "));
    }
}

#[test]
fn wrong_words_are_refused_with_a_sentence() {
    let checkout = super::checkout(&Cluster::new("one", &["node"]));
    let leaves = leaves(&checkout, &[]);
    assert!(leaves.len() > 50, "there are more commands than {}", leaves.len());
    for leaf in leaves {
        let words: Vec<&str> = leaf.words.iter().map(String::as_str).collect();
        let refused = checkout.lab(&[&words[..], &["--no-such-option"]].concat()).answer().code(2);
        assert!(refused.stderr.contains("unexpected argument '--no-such-option'"), "{words:?}: {refused}");
        let cluster: &[&str] = match &leaf.usage {
            usage if usage.contains("--xid") => &["node", "--cluster", "nowhere", "--xid", "79"],
            usage if usage.contains("CLUSTER> <PLAYBOOK>") => &["nowhere", "cluster.yml"],
            usage if usage.contains("CLUSTER> <MACHINE>") => &["nowhere", "node"],
            usage if usage.contains("--output <FILE> [CLUSTER]") => &["nowhere", "--output", "file"],
            usage if usage.contains("CLUSTER") => &["nowhere"],
            usage if usage.contains("[MACHINES]") => &["node", "--cluster", "nowhere", "--", "true"],
            usage if usage.contains("<MACHINE>") => &["node", "--cluster", "nowhere"],
            usage if usage.contains("WORDS") => &["--cluster", "nowhere", "--", "true"],
            _ => continue,
        };
        let refused = checkout.lab(&[&words[..], cluster].concat()).answer().code(2);
        assert!(refused.stderr.contains("there is no"), "{words:?}: {refused}");
        assert!(
            refused.stderr.contains("nowhere") && refused.stderr.contains("hint: "),
            "{words:?}: {refused}"
        );
    }
    assert_eq!(checkout.left(), Vec::<String>::new());
}
