//! The detect program: is this application a static site?

use std::path::Path;

use crate::{NoSite, PathError, find_web_root};

/// What the buildpack provides and requires, so that other buildpacks can build upon the site.
const PLAN: &str = "[[provides]]\nname = \"static-site\"\n\n[[requires]]\nname = \"static-site\"\n";

/// Why detection did not pass.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The application is something else; the ordinary verdict "fail".
    #[error(transparent)]
    NoSite(#[from] NoSite),
    /// The plan could not be written.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Looks for a site in `app` and writes the build plan; gives the directory that would be served.
pub fn detect(app: &Path, configured: Option<&str>, plan: &Path) -> Result<String, DetectError> {
    let root = find_web_root(app, configured)?;
    std::fs::write(plan, PLAN).map_err(PathError::at("write the build plan", plan))?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_gets_a_plan_that_requires_what_it_provides() {
        let app = tempfile::tempdir().unwrap();
        let plan = app.path().join("plan.toml");
        assert!(matches!(
            detect(app.path(), None, &plan),
            Err(DetectError::NoSite(NoSite::NothingFound))
        ));
        assert!(!plan.exists());

        std::fs::write(app.path().join("index.html"), "hello").unwrap();
        assert_eq!(detect(app.path(), None, &plan).unwrap(), ".");
        let plan: toml::Table = std::fs::read_to_string(plan).unwrap().parse().unwrap();
        assert_eq!(plan["provides"][0]["name"], plan["requires"][0]["name"]);
    }
}
