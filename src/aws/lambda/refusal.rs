//! Translates Lambda's refusals: which of them the caller can fix, and the message for that.

use tasklane_ports::DeployError;

use super::settle::Broken;
use crate::fault::{Fault, port_error};

/// The error for a write that Lambda refused.
pub(super) fn refused(action: &'static str, fault: Fault) -> DeployError {
    match fault.code.as_str() {
        "RequestTooLargeException" | "RequestEntityTooLargeException" => DeployError::InvalidCode(
            "Lambda refused the code: the zip is larger than 50 MB, the limit for direct uploads.".to_owned(),
        ),
        "CodeStorageExceededException" => DeployError::InvalidCode(format!(
            "This account has no room left for Lambda code: {}. Delete Functions, or have the quota raised.",
            sentence(&fault.message)
        )),
        "InvalidZipFileException" | "InvalidCodeSignatureException" | "CodeVerificationFailedException" => {
            DeployError::InvalidCode(said(&fault.message))
        }
        // Lambda may not read the repository, or the handler's role may not let it.
        "AccessDeniedException" | "InvalidParameterValueException" if is_about_the_repository(&fault.message) => {
            DeployError::InvalidConfiguration(format!(
                "{} The policy of its repository must let lambda.amazonaws.com do ecr:BatchGetImage and \
                 ecr:GetDownloadUrlForLayer.",
                said(&fault.message)
            ))
        }
        // Lambda has one error for all invalid arguments, the zip included.
        "InvalidParameterValueException" | "ValidationException" if is_about_the_role(&fault.message) => {
            DeployError::Port(port_error(action, fault))
        }
        "InvalidParameterValueException" | "ValidationException" if is_about_the_code(&fault.message) => {
            DeployError::InvalidCode(said(&fault.message))
        }
        "InvalidParameterValueException" | "ValidationException" | "InvalidRuntimeException" => {
            DeployError::InvalidConfiguration(said(&fault.message))
        }
        // AWS may add errors. Only those known to be the caller's fault are reported as such.
        _ => DeployError::Port(port_error(action, fault)),
    }
}

/// The error for a write that Lambda accepted but could not carry out.
pub(super) fn not_carried_out(broken: &Broken) -> DeployError {
    match broken.code.as_str() {
        "InvalidZipFileException" => DeployError::InvalidCode(said(&broken.reason)),
        _ => DeployError::InvalidConfiguration(said(&broken.reason)),
    }
}

/// The role is so new that Lambda cannot assume it yet. It will in a few seconds.
pub(super) fn is_role_not_ready(fault: &Fault) -> bool {
    fault.is("InvalidParameterValueException") && fault.message.contains("cannot be assumed by Lambda")
}

/// Another deployment is changing the function: its state must be read again.
pub(super) fn is_conflict(fault: &Fault) -> bool {
    fault.is("PreconditionFailedException") || fault.is("ResourceConflictException")
}

/// The function was deleted since it was read.
pub(super) fn is_gone(fault: &Fault) -> bool {
    fault.is("ResourceNotFoundException")
}

fn is_about_the_role(message: &str) -> bool {
    message.contains("cannot be assumed by Lambda") || message.contains("execution role")
}

fn is_about_the_repository(message: &str) -> bool {
    message.contains("permission to access the ECR image")
}

fn is_about_the_code(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    // "Could not unzip uploaded file", "Uploaded file must be a non-empty zip", "Unzipped size must be smaller than …".
    ["unzip", "uploaded file", "zip file", "zipfile"].iter().any(|word| message.contains(word))
}

fn said(message: &str) -> String {
    format!("Lambda refused it: {}.", sentence(message))
}

/// The message without its full stop and without the part that only AWS support can use.
fn sentence(message: &str) -> &str {
    let end = message.find(" (Service: ").unwrap_or(message.len());
    message[..end].trim_end().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reach;

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
    fn a_refused_zip_is_invalid_code() {
        for message in [
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
            "Uploaded file must be a non-empty zip",
            "Unzipped size must be smaller than 262144000 bytes",
        ] {
            assert!(matches!(of("InvalidParameterValueException", message), DeployError::InvalidCode(_)), "{message}");
        }
    }

    #[test]
    fn other_refused_arguments_are_an_invalid_configuration() {
        let error = of(
            "InvalidParameterValueException",
            "The runtime parameter of nodejs12.x is no longer supported (Service: Lambda, Status Code: 400)",
        );
        let DeployError::InvalidConfiguration(message) = error else { panic!("{error}") };
        assert_eq!(message, "Lambda refused it: The runtime parameter of nodejs12.x is no longer supported.");
    }

    #[test]
    fn an_image_that_lambda_may_not_read_is_refused_with_what_to_do() {
        let message =
            "Lambda does not have permission to access the ECR image. Check the ECR permissions. (Service: Lambda)";
        for code in ["AccessDeniedException", "InvalidParameterValueException"] {
            let DeployError::InvalidConfiguration(said) = of(code, message) else { panic!("{code}") };
            assert!(said.contains("Check the ECR permissions. The policy of its repository must let lambda"), "{said}");
        }
        let missing = "Source image 123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:1 does not exist. Provide a valid source image.";
        assert!(matches!(of("InvalidParameterValueException", missing), DeployError::InvalidConfiguration(_)));
    }

    #[test]
    fn an_operators_mistake_is_not_blamed_on_the_caller() {
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
