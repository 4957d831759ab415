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

pub(super) use checked_text;
