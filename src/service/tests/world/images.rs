//! Functions that run a container image (contract §20).

use bytes::Bytes;
use tasklane_model::{
    AwsOptions, CodeSha256, EntryPoint, ErrorKind, FunctionName, ImageReference, LayerArn, Layers, MemoryLimit,
    Runtime, SnapStart, VersionField, VersionNumber,
};
use tasklane_service::{FunctionChange, FunctionOptions, NewFunction, NewProgram};
use tasklane_testing::World;

const TAG: &str = "registry/hello:1";

fn named(image: &str) -> ImageReference {
    ImageReference::parse(image).unwrap()
}

fn new(image: &str, options: FunctionOptions) -> NewFunction {
    let name = FunctionName::parse("hello").unwrap();
    NewFunction { name, program: NewProgram::Image(named(image)), options, label: None, by: None }
}

fn image(image: &str) -> FunctionChange {
    FunctionChange { image: Some(named(image)), ..FunctionChange::default() }
}

fn number(number: i64) -> VersionNumber {
    VersionNumber::new(number).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_name_is_followed_when_it_is_sent_and_a_version_keeps_its_image() {
    let world = World::at_rest(5).await;
    world.lambda.tag(TAG, b"one");
    let function = world.service.create_function(new(TAG, FunctionOptions::default())).await.unwrap();
    assert_eq!(function.configuration.image().unwrap().as_str(), TAG);
    assert_eq!(function.deployment.code_sha256, CodeSha256::of(b"one"));
    // The tag moves. Nothing follows it by itself.
    world.lambda.tag(TAG, b"two");
    let memory = FunctionOptions { memory_limit: Some(MemoryLimit::new(512).unwrap()), ..FunctionOptions::default() };
    let change = FunctionChange { options: memory, ..FunctionChange::default() };
    world.service.update_function("hello", change).await.unwrap();
    let code = async || world.service.get_function("hello").await.unwrap().deployment.code_sha256;
    assert_eq!(code().await, CodeSha256::of(b"one"));
    world.service.update_function("hello", image(TAG)).await.unwrap();
    assert_eq!(code().await, CodeSha256::of(b"two"));
    world.lambda.tag("registry/hello:2", b"two");
    world.service.update_function("hello", image("registry/hello:2")).await.unwrap();
    let versions = world.service.list_versions("hello").await.unwrap();
    let changed: Vec<_> = versions.iter().map(|listed| listed.version.note.changed.clone()).collect();
    let expected = [vec![VersionField::Image], vec![VersionField::Code], vec![VersionField::MemoryLimit], Vec::new()];
    assert_eq!(changed, expected);

    world.service.roll_back("hello", number(1), None).await.unwrap();
    let function = world.service.get_function("hello").await.unwrap();
    assert_eq!(function.configuration.image().unwrap().as_str(), TAG);
    assert_eq!(function.deployment.code_sha256, CodeSha256::of(b"one"), "not what the tag leads to by now");
    let error = world.service.version_code("hello", number(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::VersionUnknown);
    assert!(error.message().contains("runs the image registry/hello:1"), "{}", error.message());
}

#[tokio::test(start_paused = true)]
async fn a_zip_does_not_become_an_image_nor_an_image_a_zip() {
    let world = World::at_rest(5).await;
    world.lambda.tag(TAG, b"one");
    world.function("zip", FunctionOptions::default()).await;
    world.service.create_function(new(TAG, FunctionOptions::default())).await.unwrap();
    let code = FunctionChange { code: Some(Bytes::from_static(b"zip").into()), ..FunctionChange::default() };
    let entry_point =
        FunctionChange { entry_point: Some(EntryPoint::parse("index.handler").unwrap()), ..FunctionChange::default() };
    let runtime = FunctionChange { runtime: Some(Runtime::new("nodejs22.x")), ..FunctionChange::default() };
    for (function, change) in [("zip", image(TAG)), ("hello", code), ("hello", entry_point), ("hello", runtime)] {
        let before = world.service.get_function(function).await.unwrap();
        let error = world.service.update_function(function, change).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidFunctionConfiguration, "{function}");
        assert!(error.message().contains("delete the function and create it again"), "{}", error.message());
        assert_eq!(world.service.get_function(function).await.unwrap(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn what_lambda_has_for_zips_only_is_refused() {
    let world = World::at_rest(5).await;
    world.lambda.tag(TAG, b"one");
    let layer = LayerArn::parse("arn:aws:lambda:eu-west-1:123456789012:layer:fonts:3").unwrap();
    let layers =
        AwsOptions { layers: Some(Layers::parse([layer.as_str().to_owned()]).unwrap()), ..AwsOptions::default() };
    let snap_start = AwsOptions { snap_start: Some(SnapStart::PublishedVersions), ..AwsOptions::default() };
    for (aws, words) in [(layers, "has no layers"), (snap_start, "has no SnapStart")] {
        let options = FunctionOptions { aws: Some(Some(aws)), ..FunctionOptions::default() };
        let error = world.service.create_function(new(TAG, options)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidFunctionConfiguration);
        assert!(error.message().contains(words), "{}", error.message());
    }
    let error = world.service.create_function(new("registry/absent", FunctionOptions::default())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidFunctionConfiguration);
}
