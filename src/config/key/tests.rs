use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::secret::ExposeSecret;

fn file(directory: &tempfile::TempDir, text: &[u8], mode: u32) -> PathBuf {
    let path = directory.path().join("secret");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn none() -> Environment {
    Environment::of([])
}

#[test]
fn a_file_counts_only_if_nobody_else_can_touch_it() {
    let directory = tempfile::tempdir().unwrap();
    for (mode, accepted) in [
        (0o600, true),
        (0o400, true),
        (0o700, true),
        (0o640, false),
        (0o604, false),
        (0o620, false),
        (0o601, false),
        (0o666, false),
    ] {
        let path = file(&directory, b"hush\n", mode);
        let read = SecretSource::File(path.clone()).read_in(&none());
        match read {
            Ok(secret) => assert!(accepted && secret.expose_secret() == "hush", "{mode:o}"),
            Err(error) => {
                let expected = format!(
                    "`{0}` is open to others (mode {mode:04o}); type `chmod 600 {0}`",
                    path.display()
                );
                assert_eq!((accepted, error.to_string()), (false, expected));
                assert_eq!(error.remedy(), Remedy::EditConfig);
            }
        }
    }
}

#[test]
fn a_credential_may_be_read_by_its_group_and_by_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let environment =
        Environment::of([("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap())]);
    for (mode, accepted) in [(0o400, true), (0o440, true), (0o444, false), (0o460, false)] {
        file(&directory, b"hush", mode);
        let read = SecretSource::Credential("secret".into()).read_in(&environment);
        assert_eq!(read.is_ok(), accepted, "{mode:o}");
    }
    let missing = SecretSource::Credential("secret".into()).read_in(&none());
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("LoadCredentialEncrypted=secret")
    );
}

#[test]
fn links_directories_and_pipes_are_no_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let real = file(&directory, b"hush", 0o600);
    let link = directory.path().join("link");
    symlink(&real, &link).unwrap();
    let pipe = directory.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [link, pipe, directory.path().to_owned()] {
        let error = SecretSource::File(path).read_in(&none()).unwrap_err();
        assert!(matches!(error, SecretError::NotAFile { .. }), "{error}");
    }
    let missing = SecretSource::File(directory.path().join("no")).read_in(&none());
    assert!(matches!(missing, Err(SecretError::Unreadable { .. })));
}

#[test]
fn one_trailing_newline_goes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    for (text, secret) in [
        ("a b\n", Some("a b")),
        ("a\r\n", Some("a")),
        ("a\n\n", Some("a\n")),
        (" a", Some(" a")),
        ("", None),
        ("\n", None),
    ] {
        let path = file(&directory, text.as_bytes(), 0o600);
        let read = SecretSource::File(path).read_in(&none());
        let read = read.as_ref().ok().map(|secret| secret.expose_secret());
        assert_eq!(read, secret, "{text:?}");
    }
    let path = file(&directory, &[0xff], 0o600);
    let error = SecretSource::File(path).read_in(&none()).unwrap_err();
    assert!(error.to_string().ends_with("is not UTF-8 text"), "{error}");
    let path = file(&directory, &[b'a'; LONGEST_SECRET + 1], 0o600);
    let error = SecretSource::File(path).read_in(&none()).unwrap_err();
    assert!(
        error.to_string().ends_with("is longer than 64 KiB"),
        "{error}"
    );
}

#[test]
fn a_key_is_32_bytes_in_hex_or_base64() {
    let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let read = |text: &str| {
        let environment = Environment::of([("K", text)]);
        read_key_in(&KeySource::Env("K".into()), &environment)
    };
    for text in [
        hex,
        &hex.to_uppercase(),
        base64,
        &format!("{base64}="),
        &format!("{base64}\n"),
    ] {
        assert_eq!(*read(text).unwrap(), bytes, "{text}");
    }
    // The same bits in the alphabet for URLs.
    let url_safe = "-_".repeat(21) + "8";
    assert_eq!(read(&url_safe).unwrap()[..2], [0xfb, 0xff]);
    for wrong in [
        &hex[1..],
        &format!("{hex}0"),
        &hex.replace('f', "g"),
        &format!("{base64}=="),
        &format!("{base64}\n\n"),
        &base64.replace('A', "*"),
        "a passphrase of 20 c",
        &hex.replacen("00", "é", 1),
    ] {
        let error = read(wrong).unwrap_err();
        assert!(
            matches!(error, KeyError::Malformed { .. }),
            "{wrong}: {error}"
        );
        assert!(
            error
                .to_string()
                .starts_with("environment variable `K` holds no key")
        );
    }
    for weak in ["00".repeat(32), "ab".repeat(32)] {
        assert!(
            matches!(read(&weak), Err(KeyError::Guessable { .. })),
            "{weak}"
        );
    }
}

#[test]
fn a_missing_key_names_the_source_tried() {
    let source = KeySource::File("/nowhere/vault.key".into());
    let error = read_key_in(&source, &none()).unwrap_err();
    assert_eq!(error.remedy(), Remedy::EditConfig);
    assert_eq!(
        crate::remedy::told(&error),
        "the vault's key cannot be used: could not read `/nowhere/vault.key`: \
         No such file or directory (os error 2)"
    );
    assert_eq!(
        error.hint(),
        Some("make the first key with `tidegate vault init`; a vault that is there needs its own")
    );
}
