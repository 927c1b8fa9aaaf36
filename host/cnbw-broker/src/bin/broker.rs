//! A broker program for tests: it does nothing but be a broker.

use std::process::ExitCode;

fn main() -> ExitCode {
    cnbw_broker::broker_main()
}
