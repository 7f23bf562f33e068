//! Errors as JavaScript sees them: `{code, message}`.

use serde::Serialize;
use wasm_bindgen::JsValue;

/// An error with a code for programs and a text for people.
#[derive(Clone, Debug, Serialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    code: &'static str,
    message: String,
}

impl ApiError {
    /// An error of this code; the codes are those of the SDK's `ChoirErrorCode`.
    pub fn new(code: &'static str, reason: &dyn core::fmt::Display) -> Self {
        Self {
            code,
            message: reason.to_string(),
        }
    }

    /// Its code and its text.
    #[cfg(feature = "chat")]
    pub(super) fn into_parts(self) -> (&'static str, String) {
        (self.code, self.message)
    }
}

impl From<ApiError> for JsValue {
    fn from(error: ApiError) -> Self {
        let text = Self::from_str(&error.message);
        serde_wasm_bindgen::to_value(&error).unwrap_or(text)
    }
}

impl From<serde_wasm_bindgen::Error> for ApiError {
    fn from(error: serde_wasm_bindgen::Error) -> Self {
        Self::new("bad-input", &error)
    }
}

/// A typed value for JavaScript; what is absent is `null`.
#[cfg(any(
    feature = "protocol",
    feature = "wgsl",
    feature = "cpu",
    feature = "burn",
    feature = "chat"
))]
pub(super) fn to_js<T: Serialize>(value: &T) -> Result<JsValue, ApiError> {
    let serializer = serde_wasm_bindgen::Serializer::new().serialize_missing_as_null(true);
    Ok(value.serialize(&serializer)?)
}
