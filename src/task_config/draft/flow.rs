//! The property `flow`.

use serde_json::Value;
use tasklane_model::{Flow, FlowConcurrency, FlowPath, FlowRate, RateCount, RateSeconds};

use super::Check;

/// The properties of `flow`.
pub(crate) const PROPERTIES: &[&str] = &["key", "concurrent", "rate"];

impl Check {
    /// `Some(None)` if it is to be removed.
    pub(super) fn flow(&mut self, value: &Value) -> Option<Option<Flow>> {
        if value.is_null() {
            return Some(None);
        }
        let properties = self.object("flow", value)?;
        self.names("flow.", properties, PROPERTIES);
        let Some(key) = properties.get("key") else {
            return self.refuse("flow", "must have a 'key', such as data.tenantId");
        };
        let key = self.parsed("flow.key", key, |text| FlowPath::parse(text));
        let concurrent = match properties.get("concurrent") {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.number("flow.concurrent", value, FlowConcurrency::new).map(Some),
        };
        let rate = match properties.get("rate") {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.rate(value).map(Some),
        };
        Some(Some(Flow { key: key?, concurrent: concurrent?, rate: rate? }))
    }

    fn rate(&mut self, value: &Value) -> Option<FlowRate> {
        let properties = self.object("flow.rate", value)?;
        self.names("flow.rate.", properties, &["count", "seconds"]);
        let (Some(count), Some(seconds)) = (properties.get("count"), properties.get("seconds")) else {
            return self.refuse("flow.rate", "must have a 'count' and 'seconds'");
        };
        let count = self.number("flow.rate.count", count, RateCount::new);
        let seconds = self.number("flow.rate.seconds", seconds, RateSeconds::new);
        Some(FlowRate { count: count?, seconds: seconds? })
    }
}
