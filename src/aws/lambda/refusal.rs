//! Which of Lambda's refusals a caller can mend, and what they are told.

use super::settle::Broken;
use crate::{
    aws::fault::{Fault, port_error},
    ports::DeployError,
};

/// A refused write: whose fault it is.
pub(super) fn refused(action: &'static str, fault: Fault) -> DeployError {
    match fault.code.as_str() {
        "RequestTooLargeException" | "RequestEntityTooLargeException" => DeployError::InvalidCode(
            "Lambda refused the code: the zip is larger than 50 MB, which is what it takes directly.".to_owned(),
        ),
        "CodeStorageExceededException" => DeployError::InvalidCode(format!(
            "Lambda has no room left for code in this account: {}. Delete Functions, or have the quota raised.",
            sentence(&fault.message)
        )),
        "InvalidZipFileException" | "InvalidCodeSignatureException" | "CodeVerificationFailedException" => {
            DeployError::InvalidCode(said(&fault.message))
        }
        // Lambda has one error for every argument that it dislikes, the zip among them.
        "InvalidParameterValueException" | "ValidationException" if is_about_the_role(&fault.message) => {
            DeployError::Port(port_error(action, fault))
        }
        "InvalidParameterValueException" | "ValidationException" if is_about_the_code(&fault.message) => {
            DeployError::InvalidCode(said(&fault.message))
        }
        "InvalidParameterValueException" | "ValidationException" | "InvalidRuntimeException" => {
            DeployError::InvalidConfiguration(said(&fault.message))
        }
        // Names are AWS's to add to: whatever is not known to be the caller's doing is not blamed on them.
        _ => DeployError::Port(port_error(action, fault)),
    }
}

/// A write that Lambda took and could not carry out.
pub(super) fn not_carried_out(broken: &Broken) -> DeployError {
    match broken.code.as_str() {
        "InvalidZipFileException" => DeployError::InvalidCode(said(&broken.reason)),
        _ => DeployError::InvalidConfiguration(said(&broken.reason)),
    }
}

/// The role was made a moment ago and Lambda cannot assume it yet: it will, in a few seconds.
pub(super) fn is_role_not_ready(fault: &Fault) -> bool {
    fault.is("InvalidParameterValueException") && fault.message.contains("cannot be assumed by Lambda")
}

/// Somebody else is changing the function: what stands has to be read again.
pub(super) fn is_conflict(fault: &Fault) -> bool {
    fault.is("PreconditionFailedException") || fault.is("ResourceConflictException")
}

/// Somebody else has deleted the function since it was read.
pub(super) fn is_gone(fault: &Fault) -> bool {
    fault.is("ResourceNotFoundException")
}

fn is_about_the_role(message: &str) -> bool {
    message.contains("cannot be assumed by Lambda") || message.contains("execution role")
}

fn is_about_the_code(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    // "Could not unzip uploaded file", "Uploaded file must be a non-empty zip", "Unzipped size must be smaller than …".
    ["unzip", "uploaded file", "zip file", "zipfile"].iter().any(|word| message.contains(word))
}

fn said(message: &str) -> String {
    format!("Lambda refused it: {}.", sentence(message))
}

/// Without its full stop and without what only AWS support can use.
fn sentence(message: &str) -> &str {
    let end = message.find(" (Service: ").unwrap_or(message.len());
    message[..end].trim_end().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::fault::Reach;

    fn of(code: &str, message: &str) -> DeployError {
        let fault = Fault {
            reach: Reach::Answered,
            code: code.into(),
            message: message.into(),
            status: Some(400),
            request_id: Some("r-1".into()),
        };
        refused("create a Lambda function", fault)
    }

    #[test]
    fn what_lambda_dislikes_about_a_zip_is_the_codes_fault() {
        for message in [
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
            "Uploaded file must be a non-empty zip",
            "Unzipped size must be smaller than 262144000 bytes",
        ] {
            assert!(matches!(of("InvalidParameterValueException", message), DeployError::InvalidCode(_)), "{message}");
        }
    }

    #[test]
    fn what_lambda_dislikes_about_the_rest_is_the_configurations_fault() {
        let error = of(
            "InvalidParameterValueException",
            "The runtime parameter of nodejs12.x is no longer supported (Service: Lambda, Status Code: 400)",
        );
        let DeployError::InvalidConfiguration(message) = error else { panic!("{error}") };
        assert_eq!(message, "Lambda refused it: The runtime parameter of nodejs12.x is no longer supported.");
    }

    #[test]
    fn what_the_operator_did_is_not_blamed_on_the_caller() {
        for (code, message) in [
            ("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."),
            ("AccessDeniedException", "User is not authorized to perform: lambda:CreateFunction"),
            ("TooManyRequestsException", "Rate exceeded"),
        ] {
            let DeployError::Port(error) = of(code, message) else { panic!("{code}") };
            assert!(error.to_string().contains("r-1"), "the log needs the request id: {error}");
        }
    }
}
