//! Who is calling.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::{ApplicationId, Error, ObjectId, Permissions, Timestamp, UserId};

/// The caller, as identified by their credential. A bad credential is an error before there is a `Caller` (contract §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No credential.
    Nobody,
    /// An application that signed its request, with nobody logged in (an OAuth 1.0a consumer without a token).
    Application(Application),
    /// An account without a role: it is known and holds nothing, not even what every user may do (contract §21).
    Roleless(User),
    /// A user.
    User(User),
}

impl Caller {
    /// The user's identity, if a user is logged in.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::User(user) => Some(&user.identity),
            Self::Nobody | Self::Application(_) | Self::Roleless(_) => None,
        }
    }

    /// Why a caller without an identity is refused: 104 for one who is not logged in, 10 for an account without a role.
    pub fn refusal(&self) -> Error {
        match self {
            Self::Roleless(_) => Error::no_role(),
            Self::Nobody | Self::Application(_) | Self::User(_) => Error::not_authenticated(),
        }
    }

    /// The user's id, if a user is logged in.
    pub fn user_id(&self) -> Option<&UserId> {
        self.identity().map(|identity| &identity.user_id)
    }

    /// The same caller through this application.
    #[must_use]
    pub fn through(mut self, application: Option<ApplicationId>) -> Self {
        match &mut self {
            Self::Roleless(user) | Self::User(user) => user.identity.application_id = application,
            Self::Nobody | Self::Application(_) => {}
        }
        self
    }

    /// The application that the call came through, if the credential names one.
    pub fn application_id(&self) -> Option<&ApplicationId> {
        match self {
            Self::Nobody => None,
            Self::Application(application) => Some(&application.id),
            Self::Roleless(user) | Self::User(user) => user.identity.application_id.as_ref(),
        }
    }
}

/// An application, and the credential whose consumer signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// The credential.
    pub credential: ObjectId,
}

/// A logged-in user, and the credential that they logged in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who they are, and what they may do.
    pub identity: Identity,
    /// When the credential expires, if it does.
    pub expires: Option<Timestamp>,
    /// The credential, when this service issued it; absent for an OIDC issuer's token.
    pub credential: Option<Lineage>,
    /// Whether the permissions are those of an account's roles.
    pub depends_on_account: bool,
}

impl Deref for User {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl From<Identity> for User {
    /// A user whose credential never expires and was not issued by this service.
    fn from(identity: Identity) -> Self {
        Self { identity, expires: None, credential: None, depends_on_account: false }
    }
}

/// A credential and its ancestors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The credential.
    pub id: ObjectId,
    /// Its ancestors, from the oldest to the credential that created this one.
    pub ancestors: Vec<ObjectId>,
}

impl Lineage {
    /// The most ancestors that a credential may have.
    pub const MOST_ANCESTORS: usize = 16;

    /// The ancestors of a credential that this one creates; `None` if there would be more than
    /// [`Lineage::MOST_ANCESTORS`].
    pub fn of_child(&self) -> Option<Vec<ObjectId>> {
        let ancestors: Vec<_> = self.ancestors.iter().copied().chain([self.id]).collect();
        (ancestors.len() <= Self::MOST_ANCESTORS).then_some(ancestors)
    }
}

/// A logged-in user: `{userId, applicationId?, permissions}` (contract §7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The user.
    pub user_id: UserId,
    /// The application that they are logged in through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application_id: Option<ApplicationId>,
    /// What they may do.
    pub permissions: Permissions,
}
