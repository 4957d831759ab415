use std::time::Duration;

use tasklane_model::ErrorKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{Instant, timeout},
};

use super::*;

const PATIENCE: Patience = Patience {
    head: Duration::from_secs(30),
    idle: Duration::from_secs(120),
    write: Duration::from_secs(60),
    linger: Duration::from_secs(2),
};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n";

impl Reset for DuplexStream {
    fn reset_on_drop(&self) {}
}

fn connect() -> (DuplexStream, Stream<DuplexStream>, Arc<Activity>) {
    let (client, server) = duplex(256);
    let activity = Arc::new(Activity::new());
    (client, Stream::new(server, Arc::clone(&activity), PATIENCE), activity)
}

async fn read(stream: &mut Stream<DuplexStream>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let length = stream.read(&mut bytes).await?;
    bytes.truncate(length);
    Ok(bytes)
}

/// How long until the server gives up on the client.
async fn given_up_after(stream: &mut Stream<DuplexStream>) -> Duration {
    let began = Instant::now();
    assert_eq!(read(stream).await.unwrap(), b"");
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
    let (mut client, mut stream, activity) = connect();
    client.write_all(GET).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap(), GET);
    // While a response is in preparation, the client may be silent for as long as that takes.
    assert!(timeout(PATIENCE.idle * 10, read(&mut stream)).await.is_err());
    activity.answered();
    assert_eq!(given_up_after(&mut stream).await, PATIENCE.idle);

    let (_client, mut stream, _) = connect();
    assert_eq!(given_up_after(&mut stream).await, PATIENCE.head, "it never said anything");

    let (mut client, mut stream, activity) = connect();
    client.write_all(GET).await.unwrap();
    read(&mut stream).await.unwrap();
    activity.answered();
    assert!(timeout(PATIENCE.idle / 2, read(&mut stream)).await.is_err());
    client.write_all(b"GET").await.unwrap();
    assert_eq!(given_up_after(&mut stream).await, PATIENCE.head, "the rest of the head did not come");
}

/// Our own client, and those of most languages, keep an idle connection for at most 90 s.
#[test]
fn clients_end_idle_connections_before_the_server_does() {
    assert!(Patience::default().idle > Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn bodies_and_the_heads_after_them_are_passed_on_in_order() {
    let (mut client, mut stream, activity) = connect();
    client.write_all(b"POST /<b> HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab<de").await.unwrap();
    client.write_all(GET).await.unwrap();
    let mut all = Vec::new();
    while all.len() < 52 + 5 {
        all.extend(read(&mut stream).await.unwrap());
    }
    assert!(timeout(PATIENCE.idle * 10, read(&mut stream)).await.is_err(), "one request at a time");
    activity.answered();
    all.extend(read(&mut stream).await.unwrap());
    let sent = [&b"POST /%3Cb%3E HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab<de"[..], GET].concat();
    assert_eq!(String::from_utf8(all).unwrap(), String::from_utf8(sent).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_its_first_refused_head() {
    let (mut client, mut stream, activity) = connect();
    client.write_all(b"GET /\x01 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    client.write_all(GET).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap(), &STANDS_FOR_REFUSED[..]);
    assert_eq!(activity.served().map(|error| error.kind()), Some(ErrorKind::BadRequest));
    assert!(timeout(PATIENCE.idle * 10, read(&mut stream)).await.is_err(), "its answer is on its way");
    activity.answered();
    assert_eq!(read(&mut stream).await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn the_server_gives_up_on_a_client_that_reads_nothing() {
    let (mut client, mut stream, _) = connect();
    let began = Instant::now();
    let writing = tokio::spawn(async move { stream.write_all(&[0; 4096]).await.map_err(|error| error.kind()) });
    tokio::time::sleep(PATIENCE.write / 2).await;
    client.read_exact(&mut [0; 300]).await.unwrap();
    assert_eq!(writing.await.unwrap(), Err(io::ErrorKind::TimedOut));
    assert_eq!(began.elapsed(), PATIENCE.write / 2 + PATIENCE.write);
}
