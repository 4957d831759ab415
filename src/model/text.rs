//! A macro for types that hold a checked string.

/// Implements `as_str`, `Display` and serde's conversions for a type that holds a string and has a `parse`.
macro_rules! checked_text {
    ($name:ident, $invalid:ident) => {
        impl $name {
            /// The string.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $invalid;
            fn try_from(text: String) -> Result<Self, $invalid> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    };
}

/// Defines a key that callers choose: 1 to 255 characters.
macro_rules! chosen_key {
    ($(#[doc = $doc:literal])* $name:ident, $invalid:ident, $description:literal, example = $example:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(description = $description, value_type = String, min_length = 1, max_length = 255, example = $example)]
        pub struct $name(String);

        #[doc = concat!("The string is not a valid [`", stringify!($name), "`].")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("must be a string of 1 to 255 characters")]
        pub struct $invalid;

        impl $name {
            /// Checks a key by this rule.
            pub fn parse(text: impl Into<String>) -> Result<Self, $invalid> {
                let text = text.into();
                if (1..=255).contains(&text.chars().count()) { Ok(Self(text)) } else { Err($invalid) }
            }
        }

        $crate::text::checked_text!($name, $invalid);
    };
}

pub(super) use {checked_text, chosen_key};
