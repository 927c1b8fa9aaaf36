//! Processes of all buildpacks: who wins, and which type is the default.

use std::collections::BTreeMap;

use cnbw_spec::api::PlatformApi;
use cnbw_spec::metadata::Process;

/// Processes by type.
#[derive(Debug, Default)]
pub(super) struct Processes {
    by_type: BTreeMap<String, Process>,
    default_type: Option<String>,
}

impl Processes {
    /// Takes the processes of one buildpack. A later definition of a type replaces an earlier one.
    ///
    /// The last type marked as default is the default. Defining that type again without the mark
    /// leaves none; that type is returned, unless another one is marked after it.
    pub(super) fn add(&mut self, processes: Vec<Process>) -> Option<String> {
        let mut redefined = None;
        for process in processes {
            let process_type = process.process_type.clone();
            if process.default {
                self.default_type = Some(process_type.clone());
                redefined = None;
            } else if self.default_type.as_ref() == Some(&process_type) {
                self.default_type = None;
                redefined = Some(process_type.clone());
            }
            self.by_type.insert(process_type, process);
        }
        redefined
    }

    /// All processes, sorted by type and without the mark, and the default type.
    pub(super) fn finish(self, api: PlatformApi) -> (Vec<Process>, Option<String>) {
        let processes = self.by_type.into_values().map(|mut it| {
            it.default = false;
            it.for_platform(api)
        });
        let default_type = self.default_type.filter(|it| !it.is_empty());
        (processes.collect(), default_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `web*` is marked as default.
    fn process(text: &str) -> Process {
        let (process_type, command) = text.split_once('=').unwrap();
        let marked = process_type.strip_suffix('*');
        Process {
            process_type: marked.unwrap_or(process_type).into(),
            default: marked.is_some(),
            command: vec![command.into()],
            ..Process::default()
        }
    }

    fn run(buildpacks: &[&str]) -> (String, Option<String>, Vec<Option<String>>) {
        let mut all = Processes::default();
        let warnings = buildpacks
            .iter()
            .map(|it| all.add(it.split_whitespace().map(process).collect()));
        let warnings = warnings.collect();
        let (list, default_type) = all.finish(PlatformApi::V0_12);
        let list: Vec<String> = list
            .iter()
            .map(|it| {
                format!(
                    "{}={}{}",
                    it.process_type,
                    it.command[0],
                    if it.default { "*" } else { "" }
                )
            })
            .collect();
        (list.join(" "), default_type, warnings)
    }

    #[test]
    fn the_last_definition_and_the_last_default_win() {
        type Case<'a> = (&'a [&'a str], &'a str, Option<&'a str>, Vec<Option<String>>);
        let web = Some("web".to_owned());
        let cases: &[Case<'_>] = &[
            (&[""], "", None, vec![None]),
            (
                &["worker=w web=x api=y"],
                "api=y web=x worker=w",
                None,
                vec![None],
            ),
            (&["web*=a", "web=b"], "web=b", None, vec![None, web.clone()]),
            (
                &["web*=a", "job*=b"],
                "job=b web=a",
                Some("job"),
                vec![None, None],
            ),
            (
                &["web*=a", "web=b job*=c"],
                "job=c web=b",
                Some("job"),
                vec![None, None],
            ),
            (
                &["web*=a", "web=b", "web*=c"],
                "web=c",
                Some("web"),
                vec![None, web, None],
            ),
            // Within one buildpack, too.
            (&["web=a web=b"], "web=b", None, vec![None]),
        ];
        for (buildpacks, list, default_type, warnings) in cases {
            let found = run(buildpacks);
            let expected = (
                (*list).to_owned(),
                default_type.map(str::to_owned),
                warnings.clone(),
            );
            assert_eq!(found, expected, "{buildpacks:?}");
        }
    }

    #[test]
    fn old_platforms_get_one_word_and_arguments() {
        let mut all = Processes::default();
        all.add(vec![Process {
            process_type: "web".into(),
            command: vec!["java".into(), "-jar".into()],
            args: Some(vec!["x".into()]),
            ..Process::default()
        }]);
        let (list, _) = all.finish(PlatformApi::V0_9);
        assert_eq!(list[0].command, ["java"]);
        assert_eq!(list[0].args, Some(vec!["-jar".into(), "x".into()]));
    }
}
