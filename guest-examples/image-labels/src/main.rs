//! The buildpack for labels: `BP_OCI_TITLE=…` and its like, and any others in `BP_IMAGE_LABELS`.
#![expect(clippy::print_stdout, reason = "a program's output is its log")]

mod labels;

use std::process::ExitCode;

use cnbw_buildpack::{Build, Buildpack, Built, Detect, Detection, Error};

struct ImageLabels;

impl Buildpack for ImageLabels {
    fn detect(&self, detect: &Detect) -> Result<Detection, Error> {
        if labels::read(&detect.variables)?.is_empty() {
            return Ok(Detection::fail(
                "no variable `BP_OCI_…` that is known, and no `BP_IMAGE_LABELS`",
            ));
        }
        Ok(Detection::pass()
            .provides("image-labels")
            .requires("image-labels"))
    }

    fn build(&self, build: &Build) -> Result<Built, Error> {
        let labels = labels::read(&build.variables)?;
        Ok(labels
            .into_iter()
            .fold(Built::new(), |built, (key, value)| {
                println!("{key}: {value}");
                built.label(key, value)
            }))
    }
}

fn main() -> ExitCode {
    cnbw_buildpack::run(&ImageLabels)
}
