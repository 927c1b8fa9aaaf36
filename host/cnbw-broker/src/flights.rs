//! One download of a thing at a time: whoever asks for the same in the meantime waits, and finds it in the store.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

/// What is being downloaded now.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    busy: Mutex<HashSet<String>>,
    landed: Condvar,
}

/// The right to download a thing. Others wait until it is dropped.
#[derive(Debug)]
pub(crate) struct Flight<'f> {
    flights: &'f Flights,
    name: String,
}

impl Flights {
    /// Waits until nobody else downloads the thing.
    pub(crate) fn board(&self, name: &str) -> Flight<'_> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while busy.contains(name) {
            busy = self
                .landed
                .wait(busy)
                .unwrap_or_else(PoisonError::into_inner);
        }
        busy.insert(name.to_owned());
        Flight {
            flights: self,
            name: name.to_owned(),
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut busy = self
            .flights
            .busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.name);
        drop(busy);
        self.flights.landed.notify_all();
    }
}
