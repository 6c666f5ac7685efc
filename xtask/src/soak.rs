//! `cargo xtask soak`: hands over to the program `soak` of the tests, which kills and compares.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use crate::cargo::{self, cargo};
use crate::cx::Cx;
use crate::failure::{CHECKS, Failure, USAGE};
use crate::flags;
use crate::handover;
use crate::host::Host;
use crate::setup::{self, Needs};

impl flags::Soak {
    /// Builds both programs and soaks.
    ///
    /// # Errors
    /// When something does not build, a command did not go on, or it left something.
    pub fn run(self, cx: &Cx) -> anyhow::Result<()> {
        let host = Host::real();
        setup::ensure(cx, &host, Needs { lab: true, tools: true, go: true }, cx.yes)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = self.seed.unwrap_or_else(|| now.subsec_nanos().into());
        println!("seed {seed}, at least {} minutes", self.minutes);
        let command = cargo(cx)
            .args(["run", "--quiet", "--package", "lab-tests", "--bin", "soak", "--"])
            .args([seed.to_string(), self.minutes.to_string()])
            .args(&self.commands)
            .env("LAB_BIN", cargo::build_lab(cx)?)
            .envs(handover::environment(cx, &host));
        let status = Command::from(command).status().context("cannot run the soak")?;
        match status.code() {
            Some(0) => Ok(()),
            Some(code) if code == i32::from(USAGE) => {
                let message = format!("not all of these can be soaked: {}", self.commands.join(", "));
                Err(Failure::usage(message, "`cargo xtask soak --help`").into())
            }
            _ => {
                let message = "a command did not go on after a kill, or left something";
                let hint = format!("cargo xtask soak --seed {seed} --minutes {}", self.minutes);
                Err(Failure { code: CHECKS, message: message.into(), hint: Some(hint) }.into())
            }
        }
    }
}
