//! Objects in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use tasklane_ports::{ObjectKey, Objects, PortError, PortFuture};
use tasklane_runtime::lock::Lock;

/// Keeps objects in memory, or refuses them.
#[derive(Debug, Default)]
pub struct TestObjects {
    objects: Lock<BTreeMap<ObjectKey, Bytes>>,
    /// Whether objects are refused.
    pub refuses: Lock<bool>,
    /// Whether objects have URLs.
    pub have_urls: Lock<bool>,
}

impl Objects for TestObjects {
    fn write_object<'a>(&'a self, key: &'a ObjectKey, content: Bytes) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            if *self.refuses.lock() {
                return Err(PortError::new("write an object", "refused"));
            }
            self.objects.lock().insert(key.clone(), content);
            Ok(())
        })
    }

    fn read_object<'a>(&'a self, key: &'a ObjectKey) -> PortFuture<'a, Result<Option<Bytes>, PortError>> {
        Box::pin(async move { Ok(self.objects.lock().get(key).cloned()) })
    }

    fn object_url<'a>(&'a self, key: &'a ObjectKey) -> PortFuture<'a, Result<Option<String>, PortError>> {
        Box::pin(async move { Ok(self.have_urls.lock().then(|| format!("https://objects.example.com/{key}"))) })
    }
}
