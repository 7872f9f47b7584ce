//! Reading data: what is accepted, and what each mistake is told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use teleprompt::Error;
use teleprompt::data::{Dataset, Format};

fn read(format: Format, text: &[u8]) -> Result<Dataset, String> {
    Dataset::parse("d", text, format).map_err(|e| e.to_string())
}

#[test]
fn the_same_rows_in_every_form() {
    let lines =
        read(Format::JsonLines, b"{\"q\": \"1\", \"a\": \"x\"}\n{\"q\": \"2\", \"a\": \"y\"}");
    let list =
        read(Format::Json, b"[{\"q\": \"1\", \"a\": \"x\"},\n {\"q\": \"2\", \"a\": \"y\"}]");
    let csv = read(Format::Csv, b"q,a\n1,x\n2,y\n");
    assert_eq!(lines, list);
    assert_eq!(lines, csv);
    assert_eq!(lines.unwrap()[1]["a"], "y");
}

#[test]
fn byte_order_mark_carriage_returns_and_blank_lines() {
    let lines =
        read(Format::JsonLines, b"\xEF\xBB\xBF{\"q\": 1}\r\n\r\n  \n{\"q\": 2}\r\n").unwrap();
    assert_eq!((lines.len(), &lines[1]["q"]), (2, &2.into()));
    let csv = read(Format::Csv, b"\xEF\xBB\xBFq, a\r\n\"one, \"\"two\"\"\nthree\",\r\n").unwrap();
    assert_eq!(csv[0]["q"], "one, \"two\"\nthree");
    assert_eq!(csv[0]["a"], "");
    let list = read(Format::Json, b"\xEF\xBB\xBF\r\n[{\"q\": 1}]").unwrap();
    assert_eq!(list.len(), 1);
}

#[test]
fn a_column_without_name_gets_one() {
    let csv = read(Format::Csv, b",q\n0,x\n").unwrap();
    assert_eq!(csv[0]["column_1"], "0");
}

#[test]
fn a_huge_line_is_read_and_not_quoted_in_errors() {
    let huge = format!("{{\"q\": \"{}\"}}", "x".repeat(20_000_000));
    assert_eq!(read(Format::JsonLines, huge.as_bytes()).unwrap().len(), 1);
    let broken = read(Format::JsonLines, &huge.as_bytes()[..huge.len() - 2]).unwrap_err();
    assert!(broken.len() < 200, "{}", broken.len());
}

#[test]
fn mistakes_are_told_with_file_and_place() {
    use Format::{Csv, Json, JsonLines};
    let deep = "[".repeat(100_000);
    for (format, text, expected) in [
        (JsonLines, &b"{\"q\": 1}\n\n{\"q\": }\n"[..], "d:3: not JSON: expected value at column 7"),
        (JsonLines, b"{\"q\": 1}\nhello", "d:2: not JSON: expected value at column 1"),
        (
            JsonLines,
            b"[1]",
            "d:1: expected one object with named fields a line, found a list; a file that is one list must end in .json",
        ),
        (JsonLines, b"{}\n\"x\"", "d:2: expected one object with named fields a line, found text"),
        (JsonLines, b"{\"q\": 1} {\"q\": 2}", "d:1: not JSON: trailing characters at column 10"),
        (JsonLines, b"\n\r\n", "d: there are no examples in it"),
        (
            JsonLines,
            b"{\"q\": 1}\n{\"q\": \"\xFF\"}",
            "d:2: the text is not UTF-8; save the file as UTF-8",
        ),
        (JsonLines, b"\xFF\xFE{\0", "d: the text is UTF-16; save it as UTF-8"),
        (JsonLines, deep.as_bytes(), "d:1: not JSON: recursion limit exceeded at column 128"),
        (
            Json,
            b"[{\"q\": 1},\n 7]",
            "d: example 2 must be an object with named fields, found a number",
        ),
        (Json, b"{\"data\": []}", "d: expected a list of objects, found an object"),
        (Json, b"[{\"q\": 1},\n", "d:2: not JSON: EOF while parsing a value at column 0"),
        (
            Json,
            b"{\"q\": 1}\n{\"q\": 2}",
            "d:2: not JSON: trailing characters at column 1; a file with one object a line must end in .jsonl",
        ),
        (Json, b"[]", "d: there are no examples in it"),
        (Json, b" ", "d: there are no examples in it"),
        (Csv, b"", "d: there are no examples in it"),
        (Csv, b"q,a\n", "d: there are no examples in it"),
        (Csv, b"q,a,q\n1,2,3\n", "d:1: the column `q` stands twice; rename one"),
        (
            Csv,
            b"q,a\n1,2\n1,2,3\n",
            "d:3: the row has 3 fields and the header 2; put fields that hold commas or line ends in double quotes",
        ),
        (Csv, b"q,a\n1,\xFF\n", "d:2: the text is not UTF-8; save the file as UTF-8"),
    ] {
        let shown = String::from_utf8_lossy(&text[..text.len().min(60)]);
        assert_eq!(read(format, text).unwrap_err(), expected, "{shown}");
    }
}

#[test]
fn files_are_told_apart_by_extension() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("train.jsonl"), "{\"q\": 1}").unwrap();
    std::fs::write(path("train.NDJSON"), "{\"q\": 1}").unwrap();
    std::fs::write(path("train.txt"), "q").unwrap();
    let data = Dataset::load(path("train.jsonl")).unwrap();
    assert_eq!(data.name(), path("train.jsonl").display().to_string());
    assert_eq!(Dataset::load(path("train.NDJSON")).unwrap().hash(), data.hash());
    let unknown = Dataset::load(path("train.txt")).unwrap_err();
    assert!(matches!(&unknown, Error::Data(m) if m.ends_with(".jsonl, .ndjson, .json or .csv")));
    let missing = Dataset::load(path("trian.jsonl")).unwrap_err().to_string();
    assert!(missing.ends_with("there is no such file; did you mean `train.jsonl`?"), "{missing}");
    std::fs::create_dir(path("dir.csv")).unwrap();
    assert!(matches!(Dataset::load(path("dir.csv")).unwrap_err(), Error::Io { .. }));
}

#[test]
fn the_hash_tells_values_names_order_and_inputs_apart() {
    let data = |text: &str| read(Format::Csv, text.as_bytes()).unwrap();
    let plain = data("q,a\n1,x\n2,y\n");
    assert_eq!(plain.hash(), data("q,a\r\n1,x\r\n2,y").hash());
    for other in ["q,a\n2,y\n1,x\n", "q,b\n1,x\n2,y\n", "q,a\n1,x\n2,z\n", "q,a\n1,x\n"] {
        assert_ne!(plain.hash(), data(other).hash(), "{other}");
    }
    assert_ne!(plain.hash(), plain.inputs(["q"]).unwrap().hash());
    assert_eq!(plain.hash().len(), 64);
}
