//! The names that identify runs and processes.

use super::system::{now, random, today};

pub(super) struct RunNames {
    /// A random UUID.
    pub(super) request_id: String,
    /// An X-Ray trace id. Nothing here collects traces, but Functions may read it.
    pub(super) trace_id: String,
}

impl RunNames {
    pub(super) fn new() -> Self {
        // One call for both, because each is a system call.
        let mut bytes = random::<36>();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let text = hex::encode(bytes);
        let request_id = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..32]].join("-");
        let (time, root, parent) = (now().as_secs(), &text[32..56], &text[56..]);
        Self { request_id, trace_id: format!("Root=1-{time:08x}-{root};Parent={parent};Sampled=0") }
    }
}

pub(super) struct ProcessNames {
    /// The name of its folder and its control group.
    pub(super) id: String,
    pub(super) log_stream: String,
}

impl ProcessNames {
    pub(super) fn new() -> Self {
        let id = hex::encode(random::<16>());
        let log_stream = format!("{}/[$LATEST]{id}", today());
        Self { id, log_stream }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_random_uuid_and_a_trace_id_has_the_form_of_x_ray() {
        let RunNames { request_id, trace_id } = RunNames::new();
        let lengths: Vec<_> = request_id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&request_id[14..15], "4", "{request_id}");
        assert!(["8", "9", "a", "b"].contains(&&request_id[19..20]), "{request_id}");
        let fields: Vec<_> = trace_id.split([';', '=', '-']).map(|field| (field, field.len())).collect();
        let [("Root", _), ("1", _), (_, 8), (_, 24), ("Parent", _), (_, 16), ("Sampled", _), ("0", _)] = fields[..]
        else {
            panic!("{trace_id}");
        };
        assert_ne!(RunNames::new().request_id, request_id);
    }
}
