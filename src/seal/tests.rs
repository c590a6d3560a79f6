use super::*;

const PLACE: Place<'static> = Place {
    vault: "v",
    table: "credentials",
    row: ["exact", ""],
    column: "refresh_token",
    generation: 7,
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

#[test]
fn the_cipher_is_aes_256_gcm() {
    // Test case 16 of the GCM specification by McGrew and Viega.
    let key: [u8; KEY] = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
        .try_into()
        .unwrap();
    let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
    let mut text = hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let tag = cipher(&Zeroizing::new(key))
        .encrypt_inout_detached(
            &Nonce::from(nonce),
            &hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
            InOutBuf::from(text.as_mut_slice()),
        )
        .unwrap();
    assert_eq!(
        text,
        hex(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        )
    );
    assert_eq!(tag.to_vec(), hex("76fc6ece0f4e1768cddf8853bb2d551b"));
}

#[test]
fn the_layout_and_the_derived_keys_do_not_change() {
    // Computed with OpenSSL: a change here makes every vault unreadable.
    let root = RootKey::new(&[7; KEY]);
    let record = seal_with(&[9; 12], &root.wrap, 3, &PLACE, b"token").unwrap();
    assert_eq!(
        record,
        hex("01 00000003 090909090909090909090909
             7ad473e6e2 d383017a2e2ed8771dbc5fed0f781791")
    );
    assert_eq!(
        root.fingerprint(&[b"a", b"b"]).to_vec(),
        hex("17a942910c153e88cdc4fd99d464b83f0414f99ed7ad47d67aa248739867b506")
    );
}

#[test]
fn a_record_opens_only_where_it_was_sealed() {
    let key = DataKey::random(5).unwrap();
    let record = key.seal(&PLACE, b"secret").unwrap();
    assert_eq!(key.unseal(&PLACE, &record).unwrap().as_slice(), b"secret");
    let elsewhere = [
        Place {
            vault: "w",
            ..PLACE
        },
        Place {
            table: "rescue",
            ..PLACE
        },
        Place {
            row: ["other", ""],
            ..PLACE
        },
        Place {
            row: ["exac", "t"],
            ..PLACE
        },
        Place {
            column: "access_token",
            ..PLACE
        },
        Place {
            generation: 8,
            ..PLACE
        },
    ];
    for place in elsewhere {
        assert_eq!(
            key.unseal(&place, &record).unwrap_err(),
            Error::Unreadable,
            "{place:?}"
        );
    }
    let other = DataKey {
        id: 5,
        ..DataKey::random(0).unwrap()
    };
    assert_eq!(
        other.unseal(&PLACE, &record).unwrap_err(),
        Error::Unreadable
    );
    let renamed = DataKey { id: 6, ..key };
    assert_eq!(
        renamed.unseal(&PLACE, &record).unwrap_err(),
        Error::Unreadable
    );
}

#[test]
fn any_flipped_bit_and_any_cut_is_noticed() {
    let key = DataKey::random(1).unwrap();
    let record = key.seal(&PLACE, b"secret").unwrap();
    for bit in 0..record.len() * 8 {
        let mut damaged = record.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            key.unseal(&PLACE, &damaged).unwrap_err(),
            Error::Unreadable,
            "bit {bit}"
        );
    }
    for length in 0..record.len() {
        assert!(
            key.unseal(&PLACE, &record[..length]).is_err(),
            "cut to {length}"
        );
    }
    let longer = [record.as_slice(), b"\0"].concat();
    assert!(key.unseal(&PLACE, &longer).is_err());
}

#[test]
fn sealing_twice_gives_two_records() {
    let key = DataKey::random(1).unwrap();
    assert_ne!(
        key.seal(&PLACE, b"same").unwrap(),
        key.seal(&PLACE, b"same").unwrap()
    );
}

#[test]
fn a_key_knows_its_own_check_value_and_wraps_for_one_place() {
    let ours = RootKey::new(&[1; KEY]);
    let other = RootKey::new(&[2; KEY]);
    let check = ours.check_value("v").unwrap();
    assert!(ours.is_checked_by(&check, "v"));
    assert!(!other.is_checked_by(&check, "v"));
    assert!(!ours.is_checked_by(&check, "w"));

    let key = DataKey::random(4).unwrap();
    let record = key.seal(&PLACE, b"secret").unwrap();
    let wrapped = ours.wrap(&key, &PLACE).unwrap();
    let again = ours.unwrap(&wrapped, &PLACE, 4).unwrap();
    assert_eq!(again.unseal(&PLACE, &record).unwrap().as_slice(), b"secret");
    assert!(other.unwrap(&wrapped, &PLACE, 4).is_err());
    assert!(
        ours.unwrap(
            &wrapped,
            &Place {
                row: ["b", ""],
                ..PLACE
            },
            4
        )
        .is_err()
    );
}
