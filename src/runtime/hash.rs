//! A hash for spreading names evenly.

/// The 32-bit FNV-1a hash of a text. It is the same in every process and version. Not for keys that a stranger chooses:
/// collisions are easy to find.
pub fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    /// Test vectors of the hash's authors: <http://www.isthe.com/chongo/src/fnv/test_fnv.c>.
    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(["", "a", "foobar"].map(fnv1a), [0x811C_9DC5, 0xE40C_292C, 0xBF9C_F968]);
    }
}
