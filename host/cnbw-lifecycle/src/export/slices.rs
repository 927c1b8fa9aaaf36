//! Slices: which files of the application go into which layer.
//!
//! Pure: paths in, lists of paths out. With n slices there are always n + 1 lists, some perhaps empty.

use std::collections::{BTreeMap, BTreeSet};

use cnbw_spec::launch::Slice;

use super::glob::{Glob, GlobError, clean};

/// A path of the application, relative to its directory; the empty path is the directory itself.
type RelativePath = Vec<u8>;

/// Divides the application.
///
/// `paths` are all paths below the application directory. A file goes into the first slice that matches it or a directory
/// above it. Directories above a sliced file are repeated in each slice, and left out of the remainder if nothing of
/// their content remains. Each list is sorted by the full path bytewise.
pub(crate) fn divide(
    app_path: &str,
    paths: &[RelativePath],
    slices: &[Slice],
) -> Result<Vec<Vec<RelativePath>>, GlobError> {
    let mut pool = Pool::new(paths);
    let mut lists = Vec::with_capacity(slices.len() + 1);
    for slice in slices {
        let mut globs = Vec::new();
        for pattern in slice.paths.iter().flatten() {
            globs.push(Glob::parse(&relative_pattern(app_path, pattern))?);
        }
        let matches = paths
            .iter()
            .filter(|path| globs.iter().any(|glob| glob.matches(path)));
        lists.push(pool.take(matches));
    }
    lists.push(pool.rest());
    Ok(lists)
}

/// Cleans a pattern. An absolute one inside the application directory means the part below it.
fn relative_pattern(app_path: &str, pattern: &str) -> String {
    let cleaned = clean(pattern);
    let below = cleaned
        .strip_prefix(app_path)
        .and_then(|below| below.strip_prefix('/'));
    match below {
        Some(below) => below.to_owned(),
        None => cleaned,
    }
}

/// What is not sliced yet.
struct Pool {
    /// Children of each directory, and of what is no directory: none.
    children: BTreeMap<RelativePath, Vec<RelativePath>>,
    left: BTreeSet<RelativePath>,
}

impl Pool {
    fn new(paths: &[RelativePath]) -> Self {
        let mut children: BTreeMap<RelativePath, Vec<RelativePath>> = BTreeMap::new();
        for path in paths {
            let parent = parent(path).unwrap_or_default();
            children
                .entry(parent.to_vec())
                .or_default()
                .push(path.clone());
        }
        let mut left: BTreeSet<RelativePath> = paths.iter().cloned().collect();
        left.insert(RelativePath::new());
        Self { children, left }
    }

    fn take<'p>(&mut self, matches: impl Iterator<Item = &'p RelativePath>) -> Vec<RelativePath> {
        let mut taken = BTreeSet::new();
        for path in matches {
            self.take_subtree(path, &mut taken);
        }
        let mut parents: BTreeSet<RelativePath> = BTreeSet::new();
        for path in &taken {
            let mut path: &[u8] = path;
            while let Some(above) = parent(path) {
                if !taken.contains(above) && !parents.insert(above.to_vec()) {
                    break;
                }
                path = above;
            }
        }
        // Deepest first, so that a directory whose directories are used up is used up as well.
        let mut deepest_first: Vec<&RelativePath> = parents.iter().collect();
        deepest_first.sort_by_key(|path| std::cmp::Reverse(depth(path)));
        for directory in deepest_first {
            let used_up = self
                .children
                .get(directory)
                .is_none_or(|children| children.iter().all(|child| !self.left.contains(child)));
            if used_up {
                self.left.remove(directory);
            }
        }
        taken.append(&mut parents);
        in_tar_order(taken)
    }

    fn take_subtree(&mut self, path: &RelativePath, taken: &mut BTreeSet<RelativePath>) {
        let mut open = vec![path.clone()];
        while let Some(path) = open.pop() {
            if self.left.remove(&path) {
                open.extend(self.children.get(&path).into_iter().flatten().cloned());
                taken.insert(path);
            }
        }
    }

    fn rest(self) -> Vec<RelativePath> {
        in_tar_order(self.left)
    }
}

/// Relative paths sort as the full paths do: they differ by a common beginning alone, and the root comes first.
fn in_tar_order(paths: BTreeSet<RelativePath>) -> Vec<RelativePath> {
    paths.into_iter().collect()
}

fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    path.get(..end)
}

fn depth(path: &[u8]) -> usize {
    if path.is_empty() {
        return 0;
    }
    path.split(|&byte| byte == b'/').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(paths: &[&str], slices: &[&[&str]]) -> Vec<Vec<String>> {
        let paths: Vec<RelativePath> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let slices: Vec<Slice> = slices
            .iter()
            .map(|paths| Slice {
                paths: Some(paths.iter().map(|&path| path.to_owned()).collect()),
            })
            .collect();
        let text = |path: RelativePath| match String::from_utf8(path).unwrap() {
            path if path.is_empty() => ".".to_owned(),
            path => path,
        };
        let lists = divide("/workspace", &paths, &slices).unwrap();
        lists
            .into_iter()
            .map(|list| list.into_iter().map(text).collect())
            .collect()
    }

    // shows: layers-019 layers-020 layers-021 layers-023 layers-024 layers-025 layers-026
    #[test]
    fn files_go_to_the_first_slice_and_parents_to_each() {
        let app = ["a.txt", "d", "d/e", "d/e/f.txt", "d/g.js", "z"];
        for (slices, expected) in [
            (
                &[][..],
                vec![vec![".", "a.txt", "d", "d/e", "d/e/f.txt", "d/g.js", "z"]],
            ),
            (
                &[&["d/e"][..]],
                vec![
                    vec![".", "d", "d/e", "d/e/f.txt"],
                    vec![".", "a.txt", "d", "d/g.js", "z"],
                ],
            ),
            (
                &[&["*.txt"], &["*"]],
                vec![
                    vec![".", "a.txt"],
                    vec![".", "d", "d/e", "d/e/f.txt", "d/g.js", "z"],
                    vec![],
                ],
            ),
            (
                &[&["nothing"]],
                vec![
                    vec![],
                    vec![".", "a.txt", "d", "d/e", "d/e/f.txt", "d/g.js", "z"],
                ],
            ),
            (
                &[&["/workspace/z", "./a.txt", "../x"]],
                vec![
                    vec![".", "a.txt", "z"],
                    vec![".", "d", "d/e", "d/e/f.txt", "d/g.js"],
                ],
            ),
            (
                &[&["d/e/f.txt"], &["d/g.js"]],
                vec![
                    vec![".", "d", "d/e", "d/e/f.txt"],
                    vec![".", "d", "d/g.js"],
                    vec![".", "a.txt", "z"],
                ],
            ),
        ] {
            assert_eq!(run(&app, slices), expected, "{slices:?}");
        }
    }

    #[test]
    fn paths_sort_as_whole_texts() {
        assert_eq!(
            run(&["d", "d/a", "d-b", "d.c"], &[]),
            [[".", "d", "d-b", "d.c", "d/a"]]
        );
    }

    #[test]
    fn an_empty_application_still_has_its_directory() {
        assert_eq!(run(&[], &[]), [["."]]);
    }

    #[test]
    fn a_malformed_pattern_is_an_error() {
        let slice = Slice {
            paths: Some(vec!["[".to_owned()]),
        };
        assert!(divide("/workspace", &[], &[slice]).is_err());
    }

    proptest! {
        #[test]
        fn every_file_is_in_exactly_one_list(
            names in prop::collection::btree_set("[a-c](/[a-c]){0,2}", 0..12),
            patterns in prop::collection::vec(prop::collection::vec("[a-c*](/[a-c*]){0,2}", 0..3), 0..4),
        ) {
            let mut paths: BTreeSet<String> = names.clone();
            for name in &names {
                for (at, _) in name.match_indices('/') {
                    paths.insert(name[..at].to_owned());
                }
            }
            let all: Vec<&str> = paths.iter().map(String::as_str).collect();
            let is_leaf = |path: &str| !paths.iter().any(|other| other.starts_with(&format!("{path}/")));
            let patterns: Vec<Vec<&str>> = patterns.iter().map(|p| p.iter().map(String::as_str).collect()).collect();
            let slices: Vec<&[&str]> = patterns.iter().map(Vec::as_slice).collect();
            let lists = run(&all, &slices);
            prop_assert_eq!(lists.len(), slices.len() + 1);
            for path in paths.iter().filter(|path| is_leaf(path)) {
                let count = lists.iter().filter(|list| list.contains(path)).count();
                prop_assert_eq!(count, 1, "{}", path);
            }
            for list in lists.iter().filter(|list| !list.is_empty()) {
                prop_assert_eq!(list.first().map(String::as_str), Some("."));
            }
        }
    }
}
