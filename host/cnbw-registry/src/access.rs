//! Whether images can be read and written, asked before any work is done.

use crate::client::Client;
use crate::error::RegistryError;
use crate::pull::head_manifest;
use crate::push::{begin, give_up};
use crate::source::parse_name;

impl Client {
    /// Checks that an image could be read. One that is not there counts as readable: only a refusal, and a
    /// registry that cannot be reached, do not.
    pub fn check_read(&self, name: &str) -> Result<(), RegistryError> {
        let reference = parse_name(name)?;
        let place = self.place_of(&reference)?;
        match head_manifest(self, &place, &reference.version) {
            Ok(_) | Err(RegistryError::Status { .. } | RegistryError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Checks that an image could be read and written, by beginning an upload and giving it up.
    pub fn check_read_write(&self, name: &str) -> Result<(), RegistryError> {
        self.check_read(name)?;
        let reference = parse_name(name)?;
        let place = self.place_of(&reference)?;
        let location = begin(self, &place)?;
        give_up(self, &place, location);
        Ok(())
    }
}
