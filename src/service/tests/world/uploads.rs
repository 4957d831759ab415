//! Code that is sent ahead of its Function.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tasklane_model::{CodeSha256, EntryPoint, ErrorKind, FunctionName, FunctionOptions, Runtime, Upload, UploadSize};
use tasklane_ports::{ByteStream, UploadTarget};
use tasklane_service::{Announced, FunctionChange, NewFunction, NewProgram, SentCode};
use tasklane_testing::World;

const ZIP: &[u8] = b"PK a zip";

fn body(zip: &'static [u8]) -> ByteStream {
    stream::once(async move { Ok(Bytes::from_static(zip)) }).boxed()
}

fn name(name: &str) -> FunctionName {
    FunctionName::parse(name).unwrap()
}

async fn announce(world: &World, function: &str, zip: &[u8]) -> Announced {
    let size = UploadSize::new(i64::try_from(zip.len()).unwrap()).unwrap();
    world.service.announce_upload(name(function), CodeSha256::of(zip), size).await.unwrap()
}

fn created(upload: &Announced) -> NewFunction {
    NewFunction {
        name: name("hello"),
        program: NewProgram::Zip {
            code: SentCode::Upload(upload.upload.id.clone()),
            entry_point: EntryPoint::parse("index.handler").unwrap(),
            runtime: Runtime::new("nodejs22.x"),
        },
        options: FunctionOptions::default(),
        label: None,
        by: None,
    }
}

fn changed(upload: &Announced) -> FunctionChange {
    FunctionChange { code: Some(SentCode::Upload(upload.upload.id.clone())), ..FunctionChange::default() }
}

#[tokio::test]
async fn a_function_is_made_and_changed_with_code_that_was_sent_before() {
    let world = World::at_rest(5).await;
    let upload = announce(&world, "hello", ZIP).await;
    assert_eq!(upload.target, Some(UploadTarget::Service));
    let early = world.service.create_function(created(&upload)).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::UploadUnknown, "nothing has arrived");
    world.service.receive_upload(&upload.upload.id, body(ZIP)).await.unwrap();
    let function = world.service.create_function(created(&upload)).await.unwrap();
    assert_eq!(function.deployment.code_sha256, CodeSha256::of(ZIP));

    // Another version, and then the bytes of the first again, which need not be sent.
    let other = announce(&world, "hello", b"PK other").await;
    world.service.receive_upload(&other.upload.id, body(b"PK other")).await.unwrap();
    world.service.update_function("hello", changed(&other)).await.unwrap();
    let again = announce(&world, "hello", ZIP).await;
    assert_eq!((again.upload.held, again.target.is_none()), (true, true));
    world.service.update_function("hello", changed(&again)).await.unwrap();
    let function = world.service.get_function("hello").await.unwrap();
    assert_eq!((function.deployment.code_sha256, function.history.current.number.get()), (CodeSha256::of(ZIP), 3));
}

#[tokio::test]
async fn an_upload_is_for_one_function_and_a_quarter_of_an_hour() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    world.function("other", FunctionOptions::default()).await;
    let upload = announce(&world, "hello", ZIP).await;
    let wrong = world.service.receive_upload(&upload.upload.id, body(b"PK punk")).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::InvalidFunctionCode);
    world.service.receive_upload(&upload.upload.id, body(ZIP)).await.unwrap();
    let elsewhere = world.service.update_function("other", changed(&upload)).await.unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::UploadUnknown);
    world.clock.jump(i64::try_from(Upload::LASTS.as_secs()).unwrap());
    for refused in [
        world.service.update_function("hello", changed(&upload)).await.unwrap_err(),
        world.service.receive_upload(&upload.upload.id, body(ZIP)).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::UploadUnknown, "{refused}");
        assert!(refused.message().contains("expired"), "{refused}");
    }
}
