//! The kinds of callers, and how each authenticates.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Url;
use tasklane_auth::IssuedCredential;
use tasklane_client::{OAuth1Keys, oauth1};
use tasklane_model::Permission;
use tasklane_ports::Clock;

use crate::kit::Kit;

use super::Operation;

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Without a credential.
    Nobody,
    /// An application that signs with its consumer's secret only.
    ApplicationAlone,
    /// Logged in.
    WithoutPermissions,
    /// Logged in, with every global permission except the one in question.
    WithEveryOtherPermission,
    /// Logged in, with the permission for another Function.
    ForAnotherFunction,
    /// Logged in, with the permission for the Function in question.
    ForThisFunction,
    /// Logged in, with the global permission.
    WithThePermission,
    /// With a credential that held the permission and has expired.
    Expired,
    /// With a credential that held the permission and was revoked.
    Revoked,
}

/// How a credential is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Bearer,
    OAuth1,
}

impl Who {
    /// Each kind, with each way that it can authenticate.
    pub fn each() -> Vec<(Self, Shown)> {
        let both = [
            Self::WithoutPermissions,
            Self::WithEveryOtherPermission,
            Self::ForAnotherFunction,
            Self::ForThisFunction,
            Self::WithThePermission,
            Self::Expired,
            Self::Revoked,
        ];
        let mut each = vec![(Self::Nobody, Shown::Bearer), (Self::ApplicationAlone, Shown::OAuth1)];
        each.extend(both.into_iter().flat_map(|who| [(who, Shown::Bearer), (who, Shown::OAuth1)]));
        each
    }

    /// The Authorization header of a request to `path`.
    pub async fn authorization(
        self,
        kit: &Kit,
        shown: Shown,
        operation: &Operation,
        function: &str,
        path: &str,
    ) -> String {
        let permission = operation.permission();
        let now = kit.world.clock.now();
        let (permissions, expires) = match self {
            Self::Nobody => return String::new(),
            Self::ApplicationAlone | Self::WithThePermission | Self::Revoked => (vec![permission.to_owned()], None),
            Self::WithoutPermissions => (vec![], None),
            Self::WithEveryOtherPermission => {
                let others = Permission::ALL.iter().map(ToString::to_string).filter(|other| other != permission);
                (others.collect(), None)
            }
            Self::ForAnotherFunction => (vec![format!("{permission}:{function}-2")], None),
            Self::ForThisFunction => (vec![format!("{permission}:{function}")], None),
            Self::Expired => (vec![permission.to_owned()], Some(now)),
        };
        let names: Vec<_> = permissions.iter().map(String::as_str).collect();
        let credential = kit.credential(&names, expires).await;
        if self == Self::Revoked {
            assert!(kit.world.store.credentials.revoke(credential.id).await.unwrap());
        }
        match shown {
            Shown::Bearer => format!("Bearer {}", credential.access_token.expose()),
            Shown::OAuth1 => signed(&credential, self != Self::ApplicationAlone, operation, path, now.as_secs()),
        }
    }
}

fn signed(credential: &IssuedCredential, with_token: bool, operation: &Operation, path: &str, seconds: i64) -> String {
    static NONCE: AtomicU64 = AtomicU64::new(0);
    let keys = OAuth1Keys {
        consumer_key: credential.consumer_key.clone(),
        consumer_secret: credential.consumer_secret.clone(),
        token: with_token.then(|| (credential.token.clone(), credential.token_secret.clone())),
    };
    let url = Url::parse(&format!("http://localhost:4000{path}")).unwrap();
    let nonce = format!("nonce-{}", NONCE.fetch_add(1, Ordering::Relaxed));
    oauth1::authorization(&keys, &operation.method, &url, &nonce, seconds)
}
