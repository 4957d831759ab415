//! A token's claims (RFC 7519 §4) and the user that they describe.

use serde_json::{Map, Value};
use tasklane_model::{ApplicationId, Identity, Permissions, Timestamp, User, UserId};

use super::{
    OidcConfig,
    refusal::{InvalidToken, Refusal},
};

/// How far the issuer's clock may be ahead of ours, in seconds. Expiry is by our clock, without leeway.
const LEEWAY_SECS: f64 = 30.0;

pub struct Claims(Map<String, Value>);

impl Claims {
    pub fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// The user that the token stands for at `now`. Its signature and its issuer must have been verified.
    pub fn user(&self, config: &OidcConfig, now: Timestamp) -> Result<User, Refusal> {
        let invalid = |why| Refusal::Invalid(InvalidToken(why));
        if !self.is_for_one_of(config.audiences()) {
            return Err(invalid("is for another audience"));
        }
        // A float holds today's milliseconds exactly, with room to spare.
        let now = now.as_millis() as f64 / 1000.0;
        let expires = self.seconds("exp")?.ok_or(invalid("has no expiry time (exp)"))?;
        if expires <= now {
            return Err(Refusal::Expired);
        }
        for start in ["nbf", "iat"] {
            if self.seconds(start)?.is_some_and(|start| start > now + LEEWAY_SECS) {
                return Err(invalid("is not valid yet, or its issuer's clock is ahead"));
            }
        }
        if self.0.contains_key("cnf") {
            return Err(invalid("is bound to a key (cnf), which is not supported"));
        }
        let user_id = self.text("sub").and_then(|sub| UserId::parse(sub).ok());
        let user_id = user_id.ok_or(invalid("has no subject (sub) of 1 to 128 visible ASCII characters"))?;
        let application = self.text("client_id").or_else(|| self.text("azp"));
        let identity = Identity {
            user_id,
            application_id: application.and_then(|id| ApplicationId::parse(id).ok()),
            permissions: self.permissions(config),
        };
        // The conversion saturates, so fractions and values out of range are harmless.
        #[allow(clippy::cast_possible_truncation)]
        let expires = Timestamp::saturating_from_millis((expires * 1000.0) as i64);
        Ok(User { expires: Some(expires), ..User::from(identity) })
    }

    /// Like API Gateway's JWT authorizers: `client_id` is used if there is no `aud`, because Cognito's access tokens have
    /// none.
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html>
    fn is_for_one_of(&self, audiences: &[String]) -> bool {
        let is_ours = |audience: &Value| audience.as_str().is_some_and(|name| audiences.iter().any(|own| own == name));
        match self.0.get("aud").or_else(|| self.0.get("client_id")) {
            Some(Value::Array(several)) => several.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        }
    }

    /// The permissions in the configured claim: an array of names, or a string of names separated by spaces (like `scope`).
    /// Other names are ignored, because the claim may also list groups or roles of other services.
    fn permissions(&self, config: &OidcConfig) -> Permissions {
        let names: Vec<&str> = match self.find(config.permissions_claim()) {
            Some(Value::String(text)) => text.split_ascii_whitespace().collect(),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(_) | None => Vec::new(),
        };
        let ours = names.into_iter().filter_map(|name| name.strip_prefix(config.permissions_prefix()));
        Permissions::parse(ours.filter(|name| Permissions::parse([*name]).is_ok())).unwrap_or_default()
    }

    /// The claim with this name, or else the one at this dotted path, such as `realm_access.roles`.
    fn find(&self, name: &str) -> Option<&Value> {
        self.0.get(name).or_else(|| {
            let (first, rest) = name.split_once('.')?;
            rest.split('.').try_fold(self.0.get(first)?, |value, step| value.get(step))
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A NumericDate: seconds since 1970, possibly with a fraction. A value that is not a number is an error, not absent.
    fn seconds(&self, name: &str) -> Result<Option<f64>, Refusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or(Refusal::Invalid(InvalidToken("has a time (exp, nbf or iat) that is not a number"))),
        }
    }
}
