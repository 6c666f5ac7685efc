//! A cluster on the containers of `quick`, for the tests that deploy one.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::checkout::real_root;
use crate::computer::Computer;
use crate::kubespray::reaching;
use crate::own_builds::passed_on;
use crate::{Answer, Checkout, Run, wait};

/// On two slow and busy processors, with all artefacts to be built.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

/// A cluster whose machines are there.
#[derive(Debug)]
pub struct Living {
    /// Where its files are.
    pub checkout: Checkout,
    /// Its name.
    pub name: &'static str,
    before: Computer,
}

/// The cluster file of `quick`.
///
/// # Panics
/// When it is not there.
pub fn quick() -> String {
    shipped("quick")
}

/// The cluster file that a cluster of this name comes with.
///
/// # Panics
/// When there is none.
pub fn shipped(name: &str) -> String {
    fs::read_to_string(real_root().join("inventories").join(name).join("cluster.yaml"))
        .expect("the project has this cluster file")
}

/// Runs a program that may take longer than others.
///
/// # Panics
/// When it takes hours.
pub fn to_its_end(what: &str, run: Run) -> Answer {
    let mut started = run.start();
    wait::until(what, PATIENCE, || started.has_ended().then_some(()));
    started.answer()
}

impl Living {
    /// One with this cluster file and all of its artefacts, and no machine yet.
    ///
    /// # Panics
    /// When an artefact cannot be built.
    pub fn planned(name: &'static str, text: &str) -> Self {
        let checkout = Checkout::new();
        checkout.write(name, text);
        // The needs of a cluster may be known from another checkout, without a Kubespray.
        for words in [&["kubespray", "fetch", "--cluster"][..], &["artifacts", "build"]] {
            to_its_end("all of its inputs", passed_on(reaching(checkout.lab(words).arg(name)))).ok();
        }
        let before = Computer::look(checkout.root());
        Self { checkout, name, before }
    }

    /// Runs `deploy` with these words to its end.
    ///
    /// # Panics
    /// When it takes hours.
    pub fn deploy(&self, words: &[&str]) -> Answer {
        to_its_end("the deploy", self.checkout.lab(&["deploy"]).args(words))
    }

    /// kubectl, through the lab.
    pub fn kubectl(&self, words: &str) -> Answer {
        self.checkout.lab(&["kubectl", "--cluster", self.name, "--"]).args(words.split(' ')).answer()
    }

    /// The output of a command on a machine.
    #[expect(clippy::must_use_candidate, reason = "some commands are run for what they do")]
    pub fn on(&self, machine: &str, command: &str) -> String {
        self.checkout.on(self.name, machine, command)
    }

    /// The names of the nodes, each with a space behind it.
    pub fn nodes(&self) -> String {
        self.kubectl("get nodes --output name").ok().stdout.replace("node/", "").replace('\n', " ")
    }

    /// These checks pass; all, where none is named.
    ///
    /// # Panics
    /// When one does not.
    pub fn passes(&self, checks: &[&str]) {
        self.checkout.lab(&["validate", self.name]).args(checks).answer().ok();
    }

    /// Runs checks, of which exactly these must fail, in the order of their names, and gives what each says.
    ///
    /// # Panics
    /// When others fail, or none.
    pub fn fails(&self, checks: &[&str], failing: &[&str]) -> BTreeMap<String, String> {
        let words = ["validate", self.name, "--json", "--patience", "20"];
        let answer = self.checkout.lab(&words).args(checks).answer().code(30);
        let outcomes = answer.json();
        let all = outcomes.as_array().expect("the outcomes are a list");
        let failed = all.iter().filter(|one| one["verdict"] == "failed");
        let details = |one: &Value| Some((one["id"].as_str()?.to_owned(), one["details"].to_string()));
        let details: BTreeMap<String, String> = failed.filter_map(details).collect();
        assert_eq!(details.keys().collect::<Vec<_>>(), failing, "{answer}");
        details
    }

    /// It is as its file says, and a deploy knows that.
    ///
    /// # Panics
    /// When a check fails, or something was left to be done.
    pub fn is_well(&self) {
        self.passes(&[]);
        let again = self.deploy(&[self.name]).ok();
        assert!(again.stderr.contains("nothing to do"), "{again}");
    }

    /// Destroys it and checks that nothing of it is left.
    ///
    /// # Panics
    /// When something is.
    pub fn destroy(&self) {
        // Own files of kubectl and Go. Those that cannot be removed are found as leftovers.
        let home = self.checkout.home();
        let _ = fs::remove_dir_all(home.join(".kube"));
        let _ = fs::remove_dir_all(home.join(".config/go"));
        let _ = fs::remove_dir(home.join(".config"));
        self.checkout.destroy(self.name, &self.before);
    }
}
