//! The template, which is part of the program.

use sha2::{Digest as _, Sha256};

/// The template as `sam build` uses it, too.
pub(crate) const TEMPLATE: &str = include_str!("../../template.yaml");

/// The handlers, by the folders of their sources.
pub(crate) const HANDLERS: [&str; 3] = ["api", "dispatcher", "ticker"];

/// The template with the handlers at these places in S3, in the order of [`HANDLERS`].
pub(crate) fn with_code(places: &[String; 3]) -> String {
    HANDLERS.iter().zip(places).fold(TEMPLATE.to_owned(), |template, (handler, place)| {
        template.replace(&source_of(handler), &format!("CodeUri: {place}\n"))
    })
}

fn source_of(handler: &str) -> String {
    format!("CodeUri: functions/{handler}\n")
}

/// A short hash of the template: two programs with the same one deploy the same resources.
pub fn template_hash() -> String {
    hex::encode(&Sha256::digest(TEMPLATE)[..6])
}

/// The names of the template's parameters.
pub fn parameter_names() -> Vec<&'static str> {
    let lines = TEMPLATE.lines().skip_while(|line| *line != "Parameters:").skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
    lines.filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':')).filter(|name| !name.starts_with(' ')).collect()
}

/// The resources that outlive a stack, by their names in the template.
pub(crate) fn kept_resources() -> Vec<&'static str> {
    let (mut kept, mut resource) = (Vec::new(), None);
    for line in TEMPLATE.lines().skip_while(|line| *line != "Resources:") {
        match line.strip_prefix("  ") {
            Some(name) if !name.starts_with([' ', '#']) => resource = name.strip_suffix(':'),
            Some(property) if property.trim().starts_with("DeletionPolicy: Retain") => kept.extend(resource),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_handler_has_its_place_in_the_template() {
        let places = ["s3://bucket/a.zip", "s3://bucket/b.zip", "s3://bucket/c.zip"].map(str::to_owned);
        let template = with_code(&places);
        for (handler, place) in HANDLERS.iter().zip(&places) {
            assert_eq!(template.matches(&format!("CodeUri: {place}\n")).count(), 1, "{handler}");
        }
        assert!(!template.contains("CodeUri: functions/"));
    }

    #[test]
    fn parameters_and_kept_resources_are_those_of_the_template() {
        let names = parameter_names();
        assert_eq!(names[0], "Prefix");
        assert!(names.contains(&"AllowVpc") && names.contains(&"LogLevel"), "{names:?}");
        let groups = TEMPLATE.split("Parameters: [").skip(1).filter_map(|rest| rest.split(']').next());
        let listed: usize = groups.map(|names| names.split(',').count()).sum();
        assert_eq!(names.len(), listed, "{names:?}");
        let kept = kept_resources();
        assert!(kept.contains(&"TasksTable") && kept.contains(&"SecretsKey"), "{kept:?}");
        assert!(!kept.contains(&"CodeBucket"), "{kept:?}");
    }
}
