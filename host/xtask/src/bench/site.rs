//! The small site that scenarios build: 22 files.

use std::path::Path;

use anyhow::Result;

pub(crate) fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder.join("pages"))?;
    std::fs::write(
        folder.join("index.html"),
        "<!doctype html><title>bench</title><p>a page\n",
    )?;
    std::fs::write(folder.join("style.css"), "body { margin: 2em }\n")?;
    for number in 0..20 {
        let text = format!(
            "<!doctype html><title>page {number}</title>\n{}",
            "<p>some words of text\n".repeat(40)
        );
        std::fs::write(folder.join(format!("pages/{number:02}.html")), text)?;
    }
    Ok(())
}
