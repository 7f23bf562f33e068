//! Chat templates in the manner of published models: the texts that Jinja2 makes of conversations, and
//! those that it refuses (`tests/chat/make.py`). `tests/chat.test.mjs` holds the wasm module to the same.

use choir_wasm_client::language::Message;
use choir_wasm_client::language::chat::{ChatFiles, ChatTemplate, ChatTemplateError};
use serde_json::{Value, json};
use std::fs;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chat");

#[test]
fn conversations_become_the_texts_that_jinja2_makes() {
    let expected: Value = serde_json::from_str(&read("conversations.json")).unwrap();
    let cases = expected["cases"].as_array().unwrap();
    assert!(cases.len() >= 50);
    for case in cases {
        let name = case["template"].as_str().unwrap();
        let place = format!("{name}, {}", case["conversation"]);
        let rendered = render(name, &expected["tokens"][name], case);
        match (rendered, case["refused"].as_str()) {
            (Ok(text), None) => assert_eq!(text, case["text"].as_str().unwrap(), "{place}"),
            (Err(ChatTemplateError::Refused { message, .. }), Some(refused)) => {
                assert_eq!(message, refused, "{place}");
            }
            (other, _) => panic!("{place}: {other:?}"),
        }
    }
}

/// A case by the files of a model: every other one has its template in a file of its own.
fn render(name: &str, tokens: &Value, case: &Value) -> Result<String, ChatTemplateError> {
    let prompt = case["add_generation_prompt"].as_bool().unwrap();
    let source = read(&format!("{name}.jinja"));
    let mut config = tokens.clone();
    if !prompt {
        config["chat_template"] = json!([{ "name": "default", "template": source }]);
    }
    let files = ChatFiles::read(&config.to_string(), prompt.then_some(source)).unwrap();
    let text = |message: &Value, key: &str| message[key].as_str().unwrap().to_owned();
    let messages: Vec<Message> = case["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| Message::new(text(message, "role"), text(message, "content")))
        .collect();
    ChatTemplate::new(&files.template)?.render(&messages, prompt, files.tokens())
}

fn read(name: &str) -> String {
    fs::read_to_string(format!("{FOLDER}/{name}")).unwrap()
}
