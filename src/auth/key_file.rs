//! A secret box whose key is in a file: one machine uses it in place of AWS KMS.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use tasklane_ports::{PortError, PortFuture};

use super::{Sealed, SecretBox};

/// The first byte of every sealed secret. It stands for this format: a nonce, then AES-256-GCM's ciphertext and tag.
const FORM: u8 = 1;
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;

/// Seals with AES-256-GCM. A nonce is 96 random bits, which is enough for some billions of secrets.
pub struct KeyFile {
    cipher: Aes256Gcm,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("the key file {path}: {cause}")]
    Io {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// It does not contain a key.
    #[error("the key file {0} does not hold 64 hexadecimal digits; secrets sealed with its key are lost without it")]
    Malformed(PathBuf),
    /// Others on this machine can read it.
    #[error("the key file {0} can be read by others on this machine; run chmod 600 on it")]
    Exposed(PathBuf),
    /// There are no random numbers to create a key from.
    #[error("the operating system provides no random numbers")]
    NoRandomNumbers,
}

impl KeyFile {
    /// The box of this key file. If the file does not exist, it is created, readable by its owner only.
    ///
    /// If several processes do this at once, all of them end up with the same key.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |cause| KeyFileError::Io { path: path.to_owned(), cause };
        loop {
            match fs::File::open(path) {
                Ok(file) => return Self::read(path, file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
            match create(path)? {
                Ok(()) => {}
                // Another process was faster, so its key is used.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn read(path: &Path, file: fs::File) -> Result<Self, KeyFileError> {
        let failed = |cause| KeyFileError::Io { path: path.to_owned(), cause };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
                return Err(KeyFileError::Exposed(path.to_owned()));
            }
        }
        let text = io::read_to_string(file).map_err(failed)?;
        let mut key = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| KeyFileError::Malformed(path.to_owned()))?;
        Ok(Self::of_key(key))
    }

    fn of_key(key: [u8; KEY_BYTES]) -> Self {
        Self { cipher: Aes256Gcm::new(&key.into()) }
    }

    /// A box whose key is in memory only.
    #[cfg(test)]
    #[allow(clippy::disallowed_methods)]
    pub fn ephemeral() -> Self {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).unwrap();
        Self::of_key(key)
    }
}

/// Writes a new key to a file beside it and links that to the name only when it is complete. Never replaces an existing
/// key.
// A key must be secret, whichever Chance the rest of the process uses.
#[allow(clippy::disallowed_methods)]
fn create(path: &Path) -> Result<io::Result<()>, KeyFileError> {
    let mut key = [0; KEY_BYTES];
    let mut suffix = [0; 8];
    getrandom::fill(&mut key).map_err(|_| KeyFileError::NoRandomNumbers)?;
    getrandom::fill(&mut suffix).map_err(|_| KeyFileError::NoRandomNumbers)?;
    let draft = path.with_extension(format!("{}.new", hex::encode(suffix)));
    let written = write_private(&draft, format!("{}\n", hex::encode(key)).as_bytes());
    let named = written.and_then(|()| fs::hard_link(&draft, path));
    // The draft may not exist.
    let _ = fs::remove_file(&draft);
    Ok(named)
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

impl SecretBox for KeyFile {
    // A nonce that is used twice gives the key away.
    #[allow(clippy::disallowed_methods)]
    fn seal<'a>(&'a self, secret: &'a [u8], context: &'a str) -> PortFuture<'a, Result<Sealed, PortError>> {
        Box::pin(async move {
            let mut nonce = [0; NONCE_BYTES];
            getrandom::fill(&mut nonce).map_err(|error| PortError::new("seal a secret", error.to_string()))?;
            let payload = Payload { msg: secret, aad: context.as_bytes() };
            let sealed = self
                .cipher
                .encrypt(&Nonce::from(nonce), payload)
                .map_err(|_| PortError::new("seal a secret", "it is too long"))?;
            Ok(Sealed::from_bytes([&[FORM], nonce.as_slice(), sealed.as_slice()].concat()))
        })
    }

    fn open<'a>(&'a self, sealed: &'a Sealed, context: &'a str) -> PortFuture<'a, Result<Vec<u8>, PortError>> {
        Box::pin(async move {
            let failed =
                || PortError::new("open a sealed secret", "it was not sealed here, with this key and for this");
            let (form, rest) = sealed.as_bytes().split_first().ok_or_else(failed)?;
            let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(failed)?;
            if *form != FORM {
                return Err(failed());
            }
            let payload = Payload { msg: sealed, aad: context.as_bytes() };
            self.cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| failed())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn secrets_can_be_opened_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let sealed = KeyFile::open_or_create(&path).unwrap().seal(b"secret", "here").await.unwrap();
        let restarted = KeyFile::open_or_create(&path).unwrap();
        assert_eq!(restarted.open(&sealed, "here").await.unwrap(), b"secret");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[tokio::test]
    async fn a_sealed_secret_cannot_be_opened_elsewhere_or_after_a_change() {
        let key = KeyFile::ephemeral();
        let sealed = key.seal(b"secret", "here").await.unwrap();
        key.open(&sealed, "there").await.unwrap_err();
        KeyFile::ephemeral().open(&sealed, "here").await.unwrap_err();
        for at in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            key.open(&Sealed::from_bytes(bytes), "here").await.unwrap_err();
        }
        for length in 0..sealed.as_bytes().len() {
            key.open(&Sealed::from_bytes(sealed.as_bytes()[..length].to_vec()), "here").await.unwrap_err();
        }
        assert_ne!(key.seal(b"secret", "here").await.unwrap(), sealed, "equal secrets have different sealed forms");
    }

    #[tokio::test]
    async fn concurrent_processes_agree_on_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let start = Barrier::new(8);
        let keys: Vec<KeyFile> = std::thread::scope(|scope| {
            let open = || {
                start.wait();
                KeyFile::open_or_create(&path).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let sealed = keys[0].seal(b"secret", "here").await.unwrap();
        for key in &keys {
            assert_eq!(key.open(&sealed, "here").await.unwrap(), b"secret");
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_exposed_or_malformed_key_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        KeyFile::open_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(KeyFile::open_or_create(&path), Err(KeyFileError::Exposed(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "not a key").unwrap();
        assert!(matches!(KeyFile::open_or_create(&path), Err(KeyFileError::Malformed(_))));
    }
}
