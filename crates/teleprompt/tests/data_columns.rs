//! Columns and the fields of signatures.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use serde_json::json;
use teleprompt::data::{Dataset, Format};
use teleprompt::{Error, Signature};

fn csv(text: &str) -> Dataset {
    Dataset::parse("d.csv", text.as_bytes(), Format::Csv).unwrap()
}

fn mapping(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(f, c)| ((*f).to_owned(), (*c).to_owned())).collect()
}

fn signature(text: &str) -> Signature {
    text.parse().unwrap()
}

#[test]
fn inputs_are_marked_and_must_be_there() {
    let data = csv("question,answer\nx,y\n").inputs(["question"]).unwrap();
    assert_eq!(data[0].inputs().names().collect::<Vec<_>>(), ["question"]);
    assert_eq!(data[0].labels().names().collect::<Vec<_>>(), ["answer"]);
    let e = data.inputs(["qestion"]).unwrap_err().to_string();
    assert_eq!(
        e,
        "d.csv: there is no column `qestion`, marked as an input; did you mean `question`? \
         (columns: question, answer); rename it, or map a column: qestion=COLUMN"
    );
}

#[test]
fn a_signature_finds_its_inputs() {
    let s = signature("question, hint: str? -> answer");
    let data = csv("id,question,answer\n1,x,y\n").for_signature(&s, &[]).unwrap();
    assert_eq!(data[0].inputs().names().collect::<Vec<_>>(), ["question"]);
    assert_eq!(data[0].labels().names().collect::<Vec<_>>(), ["id", "answer"]);
}

#[test]
fn columns_are_mapped_to_inputs_and_labels() {
    let s = signature("question, copy -> answer");
    let pairs = mapping(&[("question", "q"), ("copy", "q"), ("answer", "gold")]);
    let data = csv("q,gold,answer\nx,y,old\n").for_signature(&s, &pairs).unwrap();
    assert_eq!(data[0].fields.to_json(), json!({"question": "x", "copy": "x", "answer": "y"}));
    // A column that is a field of its own stays.
    let swapped = mapping(&[("question", "answer"), ("copy", "answer")]);
    let data = csv("q,answer\nx,y\n").for_signature(&s, &swapped).unwrap();
    assert_eq!(data[0]["answer"], "y");
    let renamed = csv("q,a\nx,y\n").map_columns(&mapping(&[("a", "q"), ("q", "a")])).unwrap();
    assert_eq!(renamed[0].fields.to_json(), json!({"a": "x", "q": "y"}));
}

#[test]
fn mistakes_name_what_is_missing_and_what_there_is() {
    let s = signature("question -> answer");
    let e = |text: &str, pairs: &[(&str, &str)]| {
        csv(text).for_signature(&s, &mapping(pairs)).unwrap_err()
    };
    assert_eq!(
        e("qustion,answer\nx,y\n", &[]).to_string(),
        "d.csv: there is no column `question`, an input of the program; did you mean `qustion`? \
         (columns: qustion, answer); rename it, or map a column: question=COLUMN"
    );
    assert_eq!(
        e("q,answer\nx,y\n", &[("question", "w")]).to_string(),
        "d.csv: there is no column `w`, mapped to `question`; did you mean `q`? (columns: q, \
         answer); rename it, or map a column: w=COLUMN"
    );
    let unknown = e("q,answer\nx,y\n", &[("questoin", "q")]);
    assert!(matches!(&unknown, Error::Config(m) if m.contains("did you mean `question`?")));
    assert!(e("question;answer\nx;y\n", &[]).to_string().ends_with("separated by commas"));
}

#[test]
fn an_input_missing_in_one_example_is_found() {
    let text = "{\"question\": \"x\"}\n{\"q\": \"y\"}";
    let data = Dataset::parse("d", text.as_bytes(), Format::JsonLines).unwrap();
    let e = data.for_signature(&signature("question -> answer"), &[]).unwrap_err().to_string();
    assert!(e.starts_with("d: example 2 has no `question`, an input of the program"), "{e}");
}

#[test]
fn text_is_read_as_the_type_of_its_field_where_it_fits() {
    let s = signature("n: int, f: float, b: bool, l: list[str], o: int?, s: str -> a: int, e: any");
    let text = "n,f,b,l,o,s,a,e\n7,0.5,TRUE,\"[\"\"x\"\"]\",,12,42,1\nmany,x,2,x,no,3,4,5\n";
    let data = csv(text).for_signature(&s, &[]).unwrap();
    assert_eq!(
        data[0].fields.to_json(),
        json!({"n": 7, "f": 0.5, "b": true, "l": ["x"], "o": null, "s": "12", "a": 42, "e": "1"})
    );
    // What does not fit stays text, for the program to judge.
    assert_eq!(data[1]["n"], "many");
    assert_eq!(data[1]["l"], "x");
    assert_eq!(data[1]["o"], "no");
}

#[test]
fn typed_values_become_examples() {
    #[derive(serde::Serialize)]
    struct Row {
        question: &'static str,
        answer: i32,
    }
    let data = Dataset::from_typed("rows", [Row { question: "x", answer: 1 }]).unwrap();
    assert_eq!(data[0]["answer"], 1);
    assert!(Dataset::from_typed("rows", [1]).is_err());
}

#[test]
fn parts_of_a_dataset() {
    let data = csv("q\na\nb\nc\n");
    assert_eq!(data.take(2).len(), 2);
    assert_eq!(data.take(9), data);
    let picked = data.select(&[2, 0, 7]);
    assert_eq!(picked.iter().map(|e| e["q"].clone()).collect::<Vec<_>>(), ["c", "a"]);
}
