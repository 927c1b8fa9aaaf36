//! The Procfile buildpack: each line `name: command` becomes a process.
#![expect(clippy::print_stdout, reason = "a program's output is its log")]

mod procfile;
mod words;

use std::process::ExitCode;

use cnbw_buildpack::{Build, Buildpack, Built, Detect, Detection, Error};

struct Procfile;

impl Buildpack for Procfile {
    fn detect(&self, detect: &Detect) -> Result<Detection, Error> {
        if detect.app.join(procfile::NAME).is_file() {
            return Ok(Detection::pass().provides("procfile").requires("procfile"));
        }
        Ok(Detection::fail("no file `Procfile` in the application"))
    }

    fn build(&self, build: &Build) -> Result<Built, Error> {
        let processes = procfile::read(&build.app)?;
        let shells = processes
            .iter()
            .filter(|process| {
                process
                    .command
                    .first()
                    .is_some_and(|it| it == procfile::SHELL)
            })
            .count();
        for process in &processes {
            println!("{}: {}", process.kind, process.command.join(" "));
        }
        if shells > 0 {
            println!(
                "{} needed: the run image must have one (`cnbw run-image create` makes one that does)",
                procfile::SHELL
            );
        }
        Ok(processes.into_iter().fold(Built::new(), Built::process))
    }
}

fn main() -> ExitCode {
    cnbw_buildpack::run(&Procfile)
}
