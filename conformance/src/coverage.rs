//! Which case or test shows which requirement.

use anyhow::Result;

use crate::arguments::CoverageArguments;

pub(crate) fn run(_: &CoverageArguments) -> Result<u8> {
    anyhow::bail!("not yet")
}
