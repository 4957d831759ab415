//! Functions that run a container image.

use tasklane_model::{ImageReference, LayerArn, Layers};

use super::*;

const TAG: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello:1";

/// The digest of an image, as a URI and as Lambda's CodeSha256: in hexadecimal.
fn resolved(image: &[u8]) -> String {
    let digest = CodeSha256::of(image).to_hex();
    format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello@sha256:{digest}")
}

fn image_spec(image: &str) -> FunctionSpec {
    let configuration = Configuration::of_image(ImageReference::parse(image).unwrap());
    FunctionSpec { name: FunctionName::parse("hello").unwrap(), configuration }
}

/// The state of `hello` in Lambda: without Handler and Runtime, except for `changes`.
fn runs(image: &[u8], changes: Value) -> Reply {
    let mut state = held(image, json!({ "PackageType": "Image", "CodeSha256": CodeSha256::of(image).to_hex() }));
    for field in ["Handler", "Runtime", "Environment"] {
        state.as_object_mut().unwrap().remove(field);
    }
    for (field, value) in changes.as_object().unwrap() {
        state[field] = value.clone();
    }
    Reply::ok(state)
}

async fn deploy_image(
    spec: &FunctionSpec,
    replies: impl IntoIterator<Item = Reply>,
    code: Option<Code>,
    current: Option<Deployment>,
) -> Deployed {
    let renewed = current.iter().map(|_| Reply::ok(json!({})));
    let wire = ReplayClient::replaying(renewed.chain(replies));
    let adapter = adapter(&wire, SleeplessClock::at("2026-01-31T08:00:00Z"));
    let result = adapter.deploy_function(spec, code, current.as_ref()).await;
    wire.assert_used_up();
    Deployed { result, wire, waited: Duration::ZERO }
}

fn version_3(image: &[u8]) -> [Reply; 2] {
    [runs(image, json!({ "Version": "3" })), runs(image, json!({ "Version": "3" }))]
}

#[tokio::test]
async fn a_new_function_is_created_from_its_uri() {
    let replies = [
        missing(),
        Reply::ok(json!({})),
        Reply::ok(json!({})),
        runs(b"one", json!({ "State": "Pending" })),
        runs(b"one", json!({ "State": "Pending", "StateReason": "The function is being created." })),
        runs(b"one", json!({})),
    ];
    let done =
        deploy_image(&image_spec(TAG), replies.into_iter().chain(version_3(b"one")), Some(Code::Image), None).await;
    assert_eq!(done.result.unwrap(), Deployment { version: "3".into(), code_sha256: CodeSha256::of(b"one") });
    assert_eq!(asked(&done.wire), [LATEST, CREATE_GROUP, RETENTION, CREATE, LATEST, LATEST, PUBLISH, VERSION_3]);
    assert_eq!(
        done.wire.bodies(CREATE)[0],
        json!({
            "FunctionName": "dev-hello", "PackageType": "Image", "Code": { "ImageUri": TAG },
            "Role": "arn:aws:iam::1:role/functions", "Description": "", "Timeout": 30, "MemorySize": 128,
            "Architectures": ["arm64"], "Environment": { "Variables": {} }, "Tags": { "tasklane:prefix": "dev" },
        })
    );
    let hash = CodeSha256::of(b"one").to_hex();
    assert_eq!(done.wire.bodies(PUBLISH)[0], json!({ "CodeSha256": hash, "RevisionId": "rev-1" }));
}

#[tokio::test]
async fn a_name_is_followed_again_only_when_it_is_sent() {
    let current = || Deployment { version: "2".into(), code_sha256: CodeSha256::of(b"one") };
    // Only the configuration: the image stays the one that it is, wherever the tag leads.
    let same = deploy_image(&image_spec(TAG), [runs(b"one", json!({}))], None, Some(current())).await;
    assert_eq!(same.result.unwrap(), current());
    assert_eq!(asked(&same.wire), [VERSION_2]);
    // The tag leads to another image by now.
    let replies = [
        runs(b"one", json!({})),
        runs(b"one", json!({})),
        runs(b"two", json!({ "LastUpdateStatus": "InProgress" })),
        runs(b"two", json!({})),
    ];
    let replies = replies.into_iter().chain(version_3(b"two"));
    let moved = deploy_image(&image_spec(TAG), replies, Some(Code::Image), Some(current())).await;
    assert_eq!(moved.result.unwrap(), Deployment { version: "3".into(), code_sha256: CodeSha256::of(b"two") });
    assert_eq!(asked(&moved.wire), [VERSION_2, LATEST, UPDATE_CODE, LATEST, PUBLISH, VERSION_3]);
    assert_eq!(
        moved.wire.bodies(UPDATE_CODE)[0],
        json!({ "ImageUri": TAG, "Architectures": ["arm64"], "RevisionId": "rev-1" })
    );
    // It leads to the same one: Lambda publishes no new version.
    let replies = [
        runs(b"one", json!({})),
        runs(b"one", json!({})),
        runs(b"one", json!({})),
        runs(b"one", json!({})),
        runs(b"one", json!({ "Version": "2" })),
        runs(b"one", json!({ "Version": "2" })),
    ];
    let same = deploy_image(&image_spec(TAG), replies, Some(Code::Image), Some(current())).await;
    assert_eq!(same.result.unwrap(), current());
}

#[tokio::test]
async fn an_image_left_behind_is_replaced_by_the_one_that_the_version_has() {
    let current = Deployment { version: "2".into(), code_sha256: CodeSha256::of(b"one") };
    let other = || json!({ "Timeout": 3 });
    let replies = [
        runs(b"one", other()),
        runs(b"unpublished", other()),
        Reply::ok(
            json!({ "Code": { "RepositoryType": "ECR", "ImageUri": TAG, "ResolvedImageUri": resolved(b"one") } }),
        ),
        runs(b"one", other()),
        runs(b"one", other()),
        Reply::ok(json!({})),
        runs(b"one", json!({})),
    ];
    let done = deploy_image(&image_spec(TAG), replies.into_iter().chain(version_3(b"one")), None, Some(current)).await;
    assert_eq!(done.result.unwrap().code_sha256, CodeSha256::of(b"one"));
    assert_eq!(asked(&done.wire)[2..5], [CODE_OF_2, UPDATE_CODE, LATEST]);
    assert_eq!(done.wire.bodies(UPDATE_CODE)[0]["ImageUri"], resolved(b"one"), "not the tag, which may have moved");
}

#[tokio::test]
async fn an_answer_without_a_digest_ends_the_deployment() {
    let current = Deployment { version: "2".into(), code_sha256: CodeSha256::of(b"one") };
    let replies = [runs(b"one", json!({})), runs(b"one", json!({})), Reply::ok(json!({}))];
    let done = deploy_image(&image_spec(TAG), replies, Some(Code::Image), Some(current)).await;
    assert!(
        matches!(done.result, Err(DeployError::Port(error)) if error.to_string().contains("without the image's digest"))
    );
}

#[tokio::test]
async fn what_lambda_cannot_run_is_refused() {
    let refused = async |spec: &FunctionSpec, replies: Vec<Reply>, current: Option<Deployment>| match deploy_image(
        spec,
        replies,
        Some(Code::Image),
        current,
    )
    .await
    .result
    {
        Err(DeployError::InvalidConfiguration(why)) => why,
        other => panic!("{other:?}"),
    };
    let elsewhere = refused(&image_spec("registry.example.com/team/hello:1"), Vec::new(), None).await;
    assert!(elsewhere.contains("is not in ECR") && elsewhere.contains("amazonaws.com/hello:1"), "{elsewhere}");
    let current = || Some(Deployment { version: "2".into(), code_sha256: CodeSha256::of(b"one") });
    let absent = "Source image 123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello:1 does not exist. Provide a valid source image.";
    let hidden = "Lambda does not have permission to access the ECR image. Check the ECR permissions.";
    for (error, message, words) in [
        ("InvalidParameterValueException", absent, "does not exist"),
        ("AccessDeniedException", hidden, "ecr:BatchGetImage"),
    ] {
        let replies = vec![runs(b"one", json!({})), runs(b"one", json!({})), Reply::error(400, error, message)];
        let why = refused(&image_spec(TAG), replies, current()).await;
        assert!(why.contains(words), "{why}");
    }
    // Found only after Lambda had accepted it.
    let failed = json!({
        "LastUpdateStatus": "Failed", "LastUpdateStatusReasonCode": "InvalidImage",
        "LastUpdateStatusReason": "UnsupportedImageLayerDetected",
    });
    let replies = vec![runs(b"one", json!({})), runs(b"one", json!({})), runs(b"two", json!({})), runs(b"two", failed)];
    assert!(refused(&image_spec(TAG), replies, current()).await.contains("UnsupportedImageLayerDetected"));
}

/// The service refuses layers of images before Lambda does, and nothing here depends on that.
#[tokio::test]
async fn layers_are_passed_to_lambda_as_they_are() {
    let mut spec = image_spec(TAG);
    let layer = LayerArn::parse("arn:aws:lambda:eu-west-1:123456789012:layer:fonts:1").unwrap();
    spec.configuration.aws =
        Some(AwsOptions { layers: Some(Layers::parse([layer.as_str().to_owned()]).unwrap()), ..AwsOptions::default() });
    let refusal = Reply::error(400, "InvalidParameterValueException", "Please don't provide Layers for Images");
    let replies = [missing(), Reply::ok(json!({})), Reply::ok(json!({})), refusal];
    let done = deploy_image(&spec, replies, Some(Code::Image), None).await;
    assert!(matches!(done.result, Err(DeployError::InvalidConfiguration(_))));
    assert_eq!(done.wire.bodies(CREATE)[0]["Layers"][0], layer.as_str());
}
