//! Does a thing for each of some items, several at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Calls `work` for every item on at most `limit` threads. After an error no further item is begun; the
/// error of the first item in order is returned.
pub(crate) fn for_each<T: Sync, E: Send>(
    limit: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    if limit <= 1 || items.len() <= 1 {
        return items.iter().try_for_each(work);
    }
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let errors: Mutex<Vec<(usize, E)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..limit.min(items.len()) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(position) else {
                        return;
                    };
                    if let Err(error) = work(item) {
                        failed.store(true, Ordering::Relaxed);
                        let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
                        errors.push((position, error));
                    }
                }
            });
        }
    });
    let errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
    match errors.into_iter().min_by_key(|(position, _)| *position) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_visited_once() {
        let seen = Mutex::new(Vec::new());
        let items: Vec<u32> = (0..100).collect();
        let done: Result<(), ()> = for_each(4, &items, |item| {
            seen.lock().unwrap().push(*item);
            Ok(())
        });
        done.unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, items);
    }

    #[test]
    fn an_error_stops_the_rest() {
        let count = AtomicUsize::new(0);
        let items: Vec<u32> = (0..1000).collect();
        let done = for_each(4, &items, |item| {
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::yield_now();
            if *item == 3 { Err("three") } else { Ok(()) }
        });
        assert_eq!(done, Err("three"));
        assert!(count.into_inner() < 1000);
    }
}
