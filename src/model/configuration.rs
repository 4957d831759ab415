//! The part of a Function that Lambda holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::ToSchema;

use super::{
    AwsOptions, Environment, ImageReference, LayerArn, MemoryLimit, Runtime, Secrets, TimeLimit, text::checked_text,
};

/// A Function's configuration in Lambda. A change of it is a new deployment.
///
/// Its JSON is part of stored rows and files, and holds the values of the environment: it is never shown to a caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Written")]
pub struct Configuration {
    /// Lambda's Description: what the Function is for, at most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What Lambda starts.
    #[serde(flatten)]
    pub program: Program,
    /// Lambda's Timeout: how long one run may take.
    pub time_limit: TimeLimit,
    /// Lambda's MemorySize: how much memory one run may use.
    pub memory_limit: MemoryLimit,
    /// Lambda's Environment.
    #[serde(serialize_with = "write_environment")]
    pub environment: Environment,
    /// More variables of its environment, whose values are elsewhere.
    #[serde(skip_serializing_if = "Secrets::is_empty")]
    pub secrets: Secrets,
    /// What only AWS can carry out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsOptions>,
}

/// What Lambda starts: its PackageType, and what belongs to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Program {
    /// A handler in a zip package.
    #[serde(rename_all = "camelCase")]
    Zip {
        /// Lambda's Handler, such as `index.handler`.
        entry_point: EntryPoint,
        /// Lambda's Runtime.
        runtime: Runtime,
    },
    /// The entry point of a container image.
    Image {
        /// Lambda's ImageUri.
        image: ImageReference,
    },
}

impl Program {
    /// Its runtime. An image brings its own.
    pub fn runtime(&self) -> Option<&Runtime> {
        match self {
            Self::Zip { runtime, .. } => Some(runtime),
            Self::Image { .. } => None,
        }
    }
}

impl Configuration {
    /// The configuration of a zip package, with every default.
    pub fn new(entry_point: EntryPoint, runtime: Runtime) -> Self {
        Self::of(Program::Zip { entry_point, runtime })
    }

    /// The configuration of a container image, with every default.
    pub fn of_image(image: ImageReference) -> Self {
        Self::of(Program::Image { image })
    }

    /// A configuration with every default.
    pub fn of(program: Program) -> Self {
        Self {
            description: None,
            program,
            time_limit: TimeLimit::default(),
            memory_limit: MemoryLimit::default(),
            environment: Environment::default(),
            secrets: Secrets::default(),
            aws: None,
        }
    }

    /// The handler in its zip package. An image has none.
    pub fn entry_point(&self) -> Option<&EntryPoint> {
        match &self.program {
            Program::Zip { entry_point, .. } => Some(entry_point),
            Program::Image { .. } => None,
        }
    }

    /// The runtime of its zip package. An image brings its own.
    pub fn runtime(&self) -> Option<&Runtime> {
        self.program.runtime()
    }

    /// The container image that it runs in place of a zip package.
    pub fn image(&self) -> Option<&ImageReference> {
        match &self.program {
            Program::Image { image } => Some(image),
            Program::Zip { .. } => None,
        }
    }

    /// Sets the handler of a zip package. Does nothing to an image.
    pub fn set_entry_point(&mut self, new: EntryPoint) {
        if let Program::Zip { entry_point, .. } = &mut self.program {
            *entry_point = new;
        }
    }

    /// Sets the runtime of a zip package. Does nothing to an image.
    pub fn set_runtime(&mut self, new: Runtime) {
        if let Program::Zip { runtime, .. } = &mut self.program {
            *runtime = new;
        }
    }

    /// A variable that is both in the environment and among the secrets, which would leave open which value it has.
    pub fn ambiguous_variable(&self) -> Option<&str> {
        self.environment.iter().map(|(name, _)| name).find(|name| self.secrets.get(name).is_some())
    }

    /// The layers below its code, lowest first.
    pub fn layers(&self) -> &[LayerArn] {
        self.aws.as_ref().map_or(&[], AwsOptions::layers)
    }
}

/// A configuration as it is read. Without a flattened field, for which serde would copy all others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    entry_point: Option<EntryPoint>,
    #[serde(default)]
    runtime: Option<Runtime>,
    #[serde(default)]
    image: Option<ImageReference>,
    time_limit: TimeLimit,
    memory_limit: MemoryLimit,
    #[serde(deserialize_with = "read_environment")]
    environment: Environment,
    #[serde(default)]
    secrets: Secrets,
    #[serde(default)]
    aws: Option<AwsOptions>,
}

/// A configuration names neither an image nor a handler and its runtime, or both.
#[derive(Debug, thiserror::Error)]
#[error("a configuration has either an image, or an entry point and a runtime")]
struct NoProgram;

impl TryFrom<Written> for Configuration {
    type Error = NoProgram;

    fn try_from(written: Written) -> Result<Self, NoProgram> {
        let Written { description, entry_point, runtime, image, time_limit, memory_limit, environment, secrets, aws } =
            written;
        let program = match (entry_point, runtime, image) {
            (Some(entry_point), Some(runtime), None) => Program::Zip { entry_point, runtime },
            (None, None, Some(image)) => Program::Image { image },
            _ => return Err(NoProgram),
        };
        Ok(Self { description, program, time_limit, memory_limit, environment, secrets, aws })
    }
}

// `Environment` itself has no JSON, so that nothing shows its values by accident.
fn write_environment<S: Serializer>(environment: &Environment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(environment.iter())
}

fn read_environment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Environment, D::Error> {
    Environment::parse(BTreeMap::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The function in the code that Lambda calls, its `Handler`: 1–128 characters without white space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 128, example = "index.handler")]
pub struct EntryPoint(String);

/// The string is not a valid [`EntryPoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters without white space, e.g. index.handler")]
pub struct InvalidEntryPoint;

impl EntryPoint {
    /// Checks an entry point by Lambda's rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidEntryPoint> {
        let text = text.into();
        let fits = (1..=128).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if fits { Ok(Self(text)) } else { Err(InvalidEntryPoint) }
    }
}

checked_text!(EntryPoint, InvalidEntryPoint);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_has_a_handler_or_an_image() {
        let zip = Configuration::new(EntryPoint::parse("index.handler").unwrap(), Runtime::new("nodejs22.x"));
        let image = Configuration::of_image(ImageReference::parse("invoices:1").unwrap());
        let limits = r#""timeLimit":30,"memoryLimit":128,"environment":{}"#;
        for (configuration, program) in
            [(&zip, r#""entryPoint":"index.handler","runtime":"nodejs22.x""#), (&image, r#""image":"invoices:1""#)]
        {
            let text = format!("{{{program},{limits}}}");
            assert_eq!(serde_json::to_string(configuration).unwrap(), text);
            assert_eq!(serde_json::from_str::<Configuration>(&text).unwrap(), *configuration);
        }
        for wrong in
            ["", r#""runtime":"nodejs22.x","#, r#""entryPoint":"a","runtime":"nodejs22.x","image":"invoices:1","#]
        {
            assert!(serde_json::from_str::<Configuration>(&format!("{{{wrong}{limits}}}")).is_err(), "{wrong}");
        }
        let mut unchanged = image.clone();
        unchanged.set_runtime(Runtime::new("nodejs22.x"));
        unchanged.set_entry_point(EntryPoint::parse("index.handler").unwrap());
        assert_eq!(unchanged, image);
    }
}
