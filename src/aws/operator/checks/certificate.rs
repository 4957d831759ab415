//! Until when the certificate of the service's domain is valid.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tasklane_model::Timestamp;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{Finding, Health};

/// ACM renews a certificate 60 days before its end, or 45. With less than this left, that has failed.
/// <https://docs.aws.amazon.com/acm/latest/userguide/managed-renewal.html>
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long the server may take to show it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at the certificate that this server shows, `api.example.com` or with a port.
pub(super) async fn look(authority: &str, now: Timestamp) -> Finding {
    let what = format!("the certificate of {authority}");
    let shown = match timeout(PATIENCE, shown_by(authority)).await {
        Ok(shown) => shown,
        Err(_) => Err("it did not answer in time".to_owned()),
    };
    let state = match shown {
        // If the domain cannot be reached, the check of the gateway says so.
        Err(why) => Health::NotSeen(format!("not checked, because {why}")),
        Ok(der) => match end_of(&der) {
            None => Health::NotSeen("not checked, because it cannot be read".to_owned()),
            Some(end) => wrong_with_end(end, now).map_or(Health::Fine, Health::Wrong),
        },
    };
    Finding { what, state }
}

fn wrong_with_end(end: Timestamp, now: Timestamp) -> Option<String> {
    let day: String = end.to_string().chars().take(10).collect();
    let what_to_do = "look at the certificate in ACM (aws acm describe-certificate): the DNS record that proves the domain \
                      must still be there";
    if end <= now {
        return Some(format!("it ended on {day}, so no client connects. ACM has not renewed it; {what_to_do}"));
    }
    let is_late = end.since(now) < RENEWED_BEFORE;
    is_late.then(|| format!("it ends on {day}, and ACM should have renewed it by now; {what_to_do}"))
}

/// Fetches the certificate without verifying its issuer, because the gateway check has already done that.
async fn shown_by(authority: &str) -> Result<Vec<u8>, String> {
    let (host, port) = match authority.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(port))) => (host, port),
        _ => (authority, 443),
    };
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let tcp = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| error.to_string())?;
    let certificates = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    certificates.map(|first| first.to_vec()).ok_or_else(|| "it shows no certificate".to_owned())
}

/// Accepts every certificate. Nothing is sent on such a connection.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The end of a certificate's validity (RFC 5280 §4.1): the second time in the fourth or fifth part of its first part.
fn end_of(der: &[u8]) -> Option<Timestamp> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(der)?;
    let (_, mut parts, _) = element(certificate)?;
    if parts.first() == Some(&VERSION) {
        (_, _, parts) = element(parts)?;
    }
    // The serial number, the algorithm, and the issuer.
    for _ in 0..3 {
        (_, _, parts) = element(parts)?;
    }
    let (tag, validity, _) = element(parts)?;
    let (_, _, rest) = element(validity)?;
    let (kind, end, _) = element(rest)?;
    if tag != SEQUENCE { None } else { time_of(kind, std::str::from_utf8(end).ok()?) }
}

/// The tag and the content of the first element, and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(first) {
        short if short < 0x80 => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
            // Longer ones are no certificates.
            let length =
                (bytes.len() <= 4).then(|| bytes.iter().fold(0_usize, |all, byte| all << 8 | usize::from(*byte)))?;
            (length, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `260131081530Z` with tag 23, whose years from 50 on are in the last century, or `20500131081530Z`.
fn time_of(kind: u8, text: &str) -> Option<Timestamp> {
    const SHORT: u8 = 23;
    let digits = text.strip_suffix('Z')?;
    let full = match kind == SHORT {
        true if digits.get(..2)? < "50" => format!("20{digits}"),
        true => format!("19{digits}"),
        false => digits.to_owned(),
    };
    let part = |from: usize, to: usize| full.get(from..to);
    let (date, time) = (
        format!("{}-{}-{}", part(0, 4)?, part(4, 6)?, part(6, 8)?),
        format!("{}:{}:{}", part(8, 10)?, part(10, 12)?, part(12, 14)?),
    );
    format!("{date}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    fn certificate(year: i32) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 2, 3);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap(), key)
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms() {
        for year in [2026, 2049, 2050, 2077] {
            let end = end_of(certificate(year).0.der()).unwrap();
            assert_eq!(end, format!("{year}-02-03T00:00:00Z").parse().unwrap());
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = certificate(2026).0.der().to_vec();
        for length in 0..whole.len() {
            // Cut anywhere, it may not be read beyond its end.
            assert_eq!(end_of(&whole[..length]), None, "{length}");
        }
        assert_eq!(end_of(&[0x30, 0x88, 1, 1, 1, 1, 1, 1, 1, 1]), None);
    }

    #[test]
    fn a_certificate_that_was_not_renewed_in_time_is_wrong() {
        let wrong = |end: &str| {
            let at = |day: &str| format!("{day}T00:00:00Z").parse().unwrap();
            wrong_with_end(at(end), at("2026-01-31"))
        };
        assert_eq!(wrong("2026-03-10"), None);
        assert!(wrong("2026-02-10").unwrap().starts_with("it ends on 2026-02-10"));
        assert!(wrong("2026-01-30").unwrap().starts_with("it ended on 2026-01-30"));
    }

    #[tokio::test]
    async fn the_certificate_is_the_one_that_clients_see() {
        let (certificate, key) = certificate(2026);
        let config = rustls::ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        });
        let found = look(&format!("localhost:{port}"), "2026-01-31T00:00:00Z".parse().unwrap()).await;
        assert!(matches!(&found.state, Health::Wrong(why) if why.contains("2026-02-03")), "{found:?}");
    }

    #[tokio::test]
    async fn a_server_that_nobody_reaches_is_not_checked() {
        let found = look("127.0.0.1:1", "2026-01-31T00:00:00Z".parse().unwrap()).await;
        assert!(matches!(&found.state, Health::NotSeen(why) if why.contains("refused")), "{found:?}");
    }
}
