//! The zips of the handlers.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{error::DeployError, template::HANDLERS};

/// The zips of the three handlers, in the order of the template.
#[derive(Clone, Debug)]
pub struct Handlers {
    pub(crate) zips: [Bytes; 3],
}

impl Handlers {
    /// Finds the zips for a processor architecture: in `folder`, or else where the packages of this program have them, beside the
    /// program. Each is `<handler>.zip`, or `<handler>/bootstrap.zip` as cargo-lambda makes it, there or in the folder of the
    /// architecture.
    ///
    /// # Errors
    /// When they are not there, or only some of them.
    pub fn find(folder: Option<&Path>, architecture: &str) -> Result<Self, DeployError> {
        let folders = match folder {
            Some(folder) => vec![folder.to_owned()],
            None => beside_the_program(),
        };
        let complete =
            folders.iter().flat_map(|folder| [folder.join(architecture), folder.clone()]).find_map(|folder| {
                HANDLERS.map(|handler| zip_in(&folder, handler)).into_iter().collect::<Option<Vec<_>>>()
            });
        let Some(paths) = complete else {
            let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            return Err(DeployError::Handlers(format!(
                "there are no zips of the handlers for {architecture} in {}: the packages of a release have them; from source, run \
                 infra/build-lambdas {architecture} and add --handlers target/lambda",
                looked.join(", or ")
            )));
        };
        let read = |path: &PathBuf| {
            let zip =
                std::fs::read(path).map_err(|error| DeployError::Handlers(format!("{}: {error}", path.display())))?;
            match zip.starts_with(b"PK") {
                true => Ok(Bytes::from(zip)),
                false => Err(DeployError::Handlers(format!("{} is not a zip", path.display()))),
            }
        };
        let [api, dispatcher, ticker] = paths.as_slice() else {
            return Err(DeployError::Handlers("there are not three handlers".to_owned()));
        };
        Ok(Self { zips: [read(api)?, read(dispatcher)?, read(ticker)?] })
    }
}

fn zip_in(folder: &Path, handler: &str) -> Option<PathBuf> {
    let names = [format!("{handler}.zip"), format!("{handler}/bootstrap.zip")];
    names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// Where packages have them: `share/tasklane/handlers` beside the program's `bin`, or `handlers` beside the program.
fn beside_the_program() -> Vec<PathBuf> {
    let program = std::env::current_exe().and_then(|program| program.canonicalize());
    let Some(folder) = program.ok().and_then(|program| program.parent().map(Path::to_owned)) else { return Vec::new() };
    vec![folder.join("../share/tasklane/handlers"), folder.join("handlers")]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_zips_are_found_in_either_form_and_only_together() {
        let folder = tempfile::tempdir().unwrap();
        let find = || Handlers::find(Some(folder.path()), "arm64");
        assert!(find().unwrap_err().to_string().contains("infra/build-lambdas arm64"));
        fs::write(folder.path().join("api.zip"), "PK a").unwrap();
        fs::write(folder.path().join("dispatcher.zip"), "PK d").unwrap();
        assert!(find().is_err());
        fs::write(folder.path().join("ticker.zip"), "no zip").unwrap();
        assert!(find().unwrap_err().to_string().contains("ticker.zip is not a zip"));
        fs::write(folder.path().join("ticker.zip"), "PK t").unwrap();
        assert_eq!(find().unwrap().zips[2], "PK t");
        for handler in HANDLERS {
            let own = folder.path().join("arm64").join(handler);
            fs::create_dir_all(&own).unwrap();
            fs::write(own.join("bootstrap.zip"), "PK arm").unwrap();
        }
        assert_eq!(find().unwrap().zips[0], "PK arm", "those of the architecture come first");
    }
}
