//! What takes the place of AWS's secrets, layers and images on this machine.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tasklane_lambda_local::{ImageSource, LocalLambdaConfig, SecretSource};
use tasklane_model::{ImageReference, LayerArn, Secret, SecretPlace, SecretReference};
use tasklane_runtime::lock::Lock;
use tasklane_task_config::ConfiguredProgram;

use super::env_file;

/// Flags to be flattened into a command's arguments.
// No doc comment: clap would show it instead of the subcommand's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StandIns {
    /// A file with the values of secrets, as a JSON object or NAME=VALUE lines. Each name is a reference as in the option
    /// "secrets", such as ssm:/tasklane/prod/password, or the name of the variable. Read again for each new process
    #[arg(long = "secrets", value_name = "FILE")]
    secrets: Option<PathBuf>,

    /// A folder or a zip that takes the place of a layer, for all versions of the layer if the ARN has no version; may be
    /// given more than once
    #[arg(long = "layer", value_name = "ARN=PATH", value_parser = layer)]
    layers: Vec<(String, PathBuf)>,

    /// An OCI layout, or an archive of one or of docker save, that takes the place of a container image, for all tags and
    /// digests of the image if the URI has neither; may be given more than once
    #[arg(long = "image", value_name = "URI=PATH", value_parser = image)]
    images: Vec<(ImageReference, PathBuf)>,
}

/// What the local Lambda uses in place of what AWS has.
pub struct Stands {
    /// By ARN.
    pub layers: BTreeMap<String, PathBuf>,
    /// Where the images are.
    pub images: Arc<ImageFiles>,
    /// Where the values of secrets are.
    pub secrets: Arc<dyn SecretSource>,
}

impl StandIns {
    /// What the local Lambda is to use.
    ///
    /// # Errors
    /// When the file with the secrets cannot be read.
    pub fn source(&self) -> anyhow::Result<Stands> {
        let secrets = SecretsFile { file: self.secrets.clone() };
        secrets.values()?;
        Ok(Stands {
            layers: self.layers.iter().cloned().collect(),
            images: Arc::new(ImageFiles { given: self.images.iter().cloned().collect(), configured: Lock::default() }),
            secrets: Arc::new(secrets),
        })
    }

    /// Sets all of it in the configuration of a local Lambda, and returns where the images are.
    ///
    /// # Errors
    /// As [`StandIns::source`].
    pub fn apply_to(&self, config: &mut LocalLambdaConfig) -> anyhow::Result<Arc<ImageFiles>> {
        let Stands { layers, images, secrets } = self.source()?;
        (config.layers, config.images, config.secrets) = (layers, images.clone(), secrets);
        Ok(images)
    }
}

/// Where images are on this machine: those of the command line, and those that a task-config.json names by their path.
#[derive(Debug, Default)]
pub struct ImageFiles {
    given: BTreeMap<ImageReference, PathBuf>,
    configured: Lock<BTreeMap<ImageReference, PathBuf>>,
}

impl ImageFiles {
    /// The place of a program's image, if it runs one that this machine has. Remembers one that the configuration names.
    pub fn of(&self, program: &ConfiguredProgram) -> Option<PathBuf> {
        if let ConfiguredProgram::ImageFile { place, image } = program {
            self.configured.lock().insert(image.clone(), place.clone());
        }
        self.place(program.image()?)
    }
}

impl ImageSource for ImageFiles {
    fn place(&self, image: &ImageReference) -> Option<PathBuf> {
        let of_all_tags = || self.given.iter().find(|(given, _)| given.as_str() == image.repository());
        let given = self.given.get(image).or_else(|| of_all_tags().map(|(_, place)| place));
        given.cloned().or_else(|| self.configured.lock().get(image).cloned())
    }
}

fn image(text: &str) -> Result<(ImageReference, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected URI=PATH")?;
    let name = ImageReference::parse(name).map_err(|rule| format!("'{name}' {rule}"))?;
    let path = std::fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))?;
    Ok((name, path))
}

fn layer(text: &str) -> Result<(String, PathBuf), String> {
    let (arn, path) = text.split_once('=').ok_or("expected ARN=PATH")?;
    LayerArn::parse(arn).or_else(|_| LayerArn::parse(format!("{arn}:1"))).map_err(|rule| format!("'{arn}' {rule}"))?;
    // Functions start in other folders.
    let path = std::fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))?;
    Ok((arn.to_owned(), path))
}

/// A file with the values of secrets.
struct SecretsFile {
    file: Option<PathBuf>,
}

impl SecretsFile {
    /// The errors do not quote the file.
    fn values(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let Some(file) = &self.file else { return Ok(BTreeMap::new()) };
        let place = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("{place} cannot be read"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if !text.trim_start().starts_with('{') {
            return env_file::parse(text).map_err(|line| anyhow::anyhow!("{place}: line {line} is not NAME=VALUE"));
        }
        let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|error| {
            anyhow::anyhow!("{place} is not JSON: line {}, column {}", error.line(), error.column())
        })?;
        // A secret of Secrets Manager may be an object with fields.
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(values.into_iter().map(|(name, value)| (name, text(value))).collect())
    }
}

impl SecretSource for SecretsFile {
    fn read(&self, variable: &str, reference: &SecretReference) -> Result<Secret, String> {
        let values = self.values().map_err(|error| format!("{error:#}"))?;
        if let Some(value) = values.get(reference.as_str()) {
            return Ok(Secret::new(value));
        }
        if let SecretPlace::Secret { name, key: Some(_) } = reference.place()
            && let Some(stored) = values.get(&format!("secretsmanager:{name}"))
        {
            return reference.place().value_in(stored).map_err(str::to_owned);
        }
        values.get(variable).map(Secret::new).ok_or_else(|| match &self.file {
            Some(file) => format!("{} has no value for it", file.display()),
            None => "this machine gets the values of secrets from a file: name it with --secrets FILE".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variable: &str, reference: &str) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let secrets = SecretsFile { file: Some(file.path().to_owned()) };
        let value = secrets.read(variable, &SecretReference::parse(reference).unwrap());
        value.map(|value| value.expose().to_owned())
    }

    #[test]
    fn a_secret_is_found_by_its_reference_or_by_its_variable() {
        let json = r#"{ "ssm:/tasklane/prod/a": "s3cret", "secretsmanager:tasklane/prod/db": { "password": "pa55", "port": 1 },
                        "secretsmanager:tasklane/prod/other#key": "w0rd", "TOKEN": "t0ken" }"#;
        for (reference, value) in [
            ("ssm:/tasklane/prod/a", "s3cret"),
            ("secretsmanager:tasklane/prod/db#password", "pa55"),
            ("secretsmanager:tasklane/prod/db#port", "1"),
            ("secretsmanager:tasklane/prod/other#key", "w0rd"),
            ("ssm:/tasklane/prod/unknown", "t0ken"),
        ] {
            assert_eq!(read(json, "TOKEN", reference).unwrap(), value, "{reference}");
        }
        let lines = "# of this machine\nssm:/tasklane/prod/a=s3cret\nsecretsmanager:tasklane/prod/db#password='pa55'\nTOKEN=t0ken\n";
        assert_eq!(read(lines, "X", "ssm:/tasklane/prod/a").unwrap(), "s3cret");
        assert_eq!(read(lines, "X", "secretsmanager:tasklane/prod/db#password").unwrap(), "pa55");
        assert_eq!(read(lines, "TOKEN", "ssm:/tasklane/prod/b").unwrap(), "t0ken");
    }

    #[test]
    fn an_error_says_what_to_do_and_shows_no_value() {
        let none = SecretsFile { file: None }.read("A1", &SecretReference::parse("ssm:/tasklane/prod/a").unwrap());
        assert!(none.unwrap_err().contains("--secrets FILE"));
        for (text, why) in [
            ("{ \"TOKEN\": \"s3cret\" }", "has no value for it"),
            ("{ \"TOKEN\": \"s3cret\"", "is not JSON: line 1"),
            ("s3cret", "line 1 is not NAME=VALUE"),
        ] {
            let error = read(text, "OTHER", "ssm:/tasklane/prod/a").unwrap_err();
            assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_image_is_found_by_its_name_or_by_its_repository() {
        let parse = |text: &str| ImageReference::parse(text).unwrap();
        let given = ["registry/a=/", "registry/b:1=/tmp"].map(|text| image(text).unwrap());
        let images = ImageFiles { given: given.into_iter().collect(), configured: Lock::default() };
        for (name, place) in [
            ("registry/a", Some("/")),
            ("registry/a:7", Some("/")),
            ("registry/b:1", Some("/tmp")),
            ("registry/b:2", None),
            ("registry/b", None),
        ] {
            assert_eq!(images.place(&parse(name)), place.map(PathBuf::from), "{name}");
        }
        let file = ConfiguredProgram::ImageFile { place: "image.tar".into(), image: parse("local/hello") };
        assert_eq!(images.place(&parse("local/hello")), None);
        assert_eq!(images.of(&file), Some(PathBuf::from("image.tar")));
        assert_eq!(images.place(&parse("local/hello")), Some(PathBuf::from("image.tar")));
        for wrong in ["registry/a", "registry a=/", "registry/a=/no/such/file"] {
            assert!(image(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_layer_has_an_arn_and_a_place() {
        const LAYER: &str = "arn:aws:lambda:eu-west-1:123456789012:layer:fonts";
        assert_eq!(layer(&format!("{LAYER}=/")).unwrap(), (LAYER.to_owned(), PathBuf::from("/")));
        assert!(layer(&format!("{LAYER}:3=/")).is_ok());
        for wrong in [LAYER.to_owned(), "fonts=/".to_owned(), format!("{LAYER}=/no/such/folder")] {
            assert!(layer(&wrong).is_err(), "{wrong}");
        }
    }
}
