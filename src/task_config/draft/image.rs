//! The option `image`: the name of a container image, or where it is on this machine.

use std::path::Path;

use serde_json::{Map, Value};
use tasklane_model::{FunctionName, ImageReference};

use super::{super::ConfiguredProgram, Check};

/// What an image takes the place of.
pub(crate) const REPLACED: [&str; 3] = ["path", "entryPoint", "runtime"];

/// What the name of an image begins with that has none, because it is only on this machine.
const LOCAL: &str = "local";

impl Check {
    /// A path begins with `./`, `../` or `/`, which no name does.
    pub(super) fn image(
        &mut self,
        value: &Value,
        function: Option<&FunctionName>,
        properties: &Map<String, Value>,
        (base, confines): (&Path, Option<&Path>),
    ) -> Option<ConfiguredProgram> {
        for replaced in REPLACED.iter().filter(|name| properties.contains_key(**name)) {
            self.refuse::<()>("image", format!("takes the place of '{replaced}': leave one of them out"));
        }
        let text = self.text("image", value)?;
        if !["./", "../", "/"].iter().any(|start| text.starts_with(start)) {
            let image = self.parsed("image", value, |text| {
                ImageReference::parse(text)
                    .map_err(|rule| format!("{rule}; or a path that begins with ./, e.g. ./image.tar"))
            })?;
            return Some(ConfiguredProgram::Image { image, folder: base.to_owned() });
        }
        let place = base.join(text);
        if let Err(error) = std::fs::metadata(&place) {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "does not exist; do you have to build the image first?".to_owned(),
                _ => format!("cannot be read: {error}"),
            };
            return self.refuse("image", format!("leads to {}, which {why}", place.display()));
        }
        if let Some(confines) = confines
            && let (Ok(real), Ok(confines)) = (place.canonicalize(), confines.canonicalize())
            && !real.starts_with(&confines)
        {
            let (real, confines) = (real.display(), confines.display());
            return self
                .refuse("image", format!("leads to {real}, outside {confines}; use --allow-outside to allow that"));
        }
        let image = ImageReference::parse(format!("{LOCAL}/{}", function?));
        image.map_or_else(
            |rule| self.refuse("image", rule.to_string()),
            |image| Some(ConfiguredProgram::ImageFile { place, image }),
        )
    }
}
