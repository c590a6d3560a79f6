//! Bodies that are not one JSON value.

use super::{House, gzip};
use crate::support::Scripted;

#[track_caller]
fn table(keys: &str, media: &'static str, body: impl Into<Vec<u8>>) -> Vec<String> {
    House::new(keys, media, body).table()
}

#[test]
fn json_lines_are_read_as_they_stand() {
    let body =
        "{\"id\":12345678901234567890,\"p\":1.50}\r\n\n  {\"id\":2,\"p\":2.25}  \n{\"id\":3}";
    assert_eq!(
        table("format = \"json_lines\"", "application/x-ndjson", body),
        ["id p", "12345678901234567890 1.50", "2 2.25", "3 -"]
    );
}

#[test]
fn csv_tells_nothing_from_empty_text() {
    let body =
        "\u{feff}id,name,note\r\n1,Ann,\"a, \"\"b\"\"\nc\"\r\n2,,\"\"\r\n\r\n3,O\"Brien, x \r\n";
    let house = House::new("format = \"csv\"", "text/csv", body);
    assert_eq!(
        house.table(),
        [
            "id name note",
            "1 Ann a, \"b\"\nc",
            "2 - ",
            "3 O\"Brien  x "
        ]
    );
    let body = "id;name\n1;'a;''b'\n2;\n";
    let keys = "format = { csv = { delimiter = \";\", quote = \"'\", empty = \"text\" } }";
    assert_eq!(table(keys, "text/csv", body), ["id name", "1 a;'b", "2 "]);

    let body = "1\tx\n2\ty";
    let keys = "format = { csv = { delimiter = \"\\t\", header = [\"id\", \"name\"] } }";
    assert_eq!(
        table(keys, "text/tab-separated-values", body),
        ["id name", "1 x", "2 y"]
    );
}

#[test]
fn csv_is_read_in_the_charset_it_says() {
    let body = b"id,name\n1,caf\xe9\n".to_vec();
    assert_eq!(
        table("format = \"csv\"", "text/csv; charset=iso-8859-1", body),
        ["id name", "1 café"]
    );
}

#[test]
fn a_column_of_csv_has_the_type_it_is_given() {
    let body = "id,price,on\n1,1234.50,2026-01-02\n2,,\n";
    let keys = "format = \"csv\"\ncolumns = { id = { type = \"integer\" }, price = { type = \"decimal\" }, on = { type = \"date\" } }";
    let house = House::new(keys, "text/csv", body);
    assert_eq!(
        house.table(),
        ["id price on", "1 1234.50 2026-01-02", "2 - -"]
    );
    let types = "SELECT typeof(id), typeof(price) FROM thing LIMIT 1";
    assert_eq!(super::lines(&house.house, types), ["integer text"]);
}

#[test]
fn a_compressed_download_is_unpacked_whatever_it_is_called() {
    let csv = gzip(b"id,name\n1,Ann\n");
    for media in ["application/gzip", "application/octet-stream", "text/csv"] {
        assert_eq!(
            table("format = \"csv\"", media, csv.clone()),
            ["id name", "1 Ann"]
        );
    }
    // Two files one behind the other are one.
    let two = [gzip(b"{\"id\":1}\n"), gzip(b"{\"id\":2}\n")].concat();
    assert_eq!(
        table("format = \"json_lines\"", "application/gzip", two),
        ["id", "1", "2"]
    );
    let json = gzip(br#"[{"id":1}]"#);
    assert_eq!(table("", "application/json", json), ["id", "1"]);
}

#[test]
fn a_page_of_no_records_is_a_page_in_every_format() {
    let cases = [
        ("format = \"json_lines\"", ""),
        ("format = \"json_lines\"", "\n"),
        ("format = \"csv\"", "id,name\r\n"),
        ("format = { csv = { header = [\"id\"] } }", ""),
        ("", "[]"),
        ("filter = \"false\"", "[{\"id\":1}]"),
    ];
    for (keys, body) in cases {
        let ran = House::new(keys, "text/plain", body).run().expect_code(0);
        assert!(ran.stdout.contains("0 inserted"), "{keys}: {ran:#?}");
    }
}

#[test]
fn an_answer_is_unpacked_by_each_encoding_we_ask_for() {
    const BODY: &[u8] = br#"[{"id":1,"name":"Ann"}]"#;
    let length = u32::try_from(BODY.len()).unwrap();
    // RFC 8878: a frame of one raw block.
    let block = (length << 3) | 1;
    let zstd = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0x20, u8::try_from(length).unwrap()],
        &block.to_le_bytes()[..3],
        BODY,
    ];
    // RFC 7932: an uncompressed block, and an empty last one.
    let block = ((length - 1) << 4) | (1 << 20);
    let brotli = [&block.to_le_bytes()[..3], BODY, &[3]];
    for (encoding, packed) in [
        ("gzip", gzip(BODY)),
        ("zstd", zstd.concat()),
        ("br", brotli.concat()),
    ] {
        let server = Scripted::start(move |asked| {
            let wanted = asked.header("accept-encoding").unwrap();
            assert!(wanted.contains(encoding), "{wanted}");
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n",
                packed.len()
            );
            [head.as_bytes(), &packed].concat()
        });
        assert_eq!(
            House::at(server, "").table(),
            ["id name", "1 Ann"],
            "{encoding}"
        );
    }
}
