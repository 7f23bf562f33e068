//! Templates as Jinja2 renders them, and their refusals.

use super::*;

/// Of HuggingFaceTB/SmolLM2-135M-Instruct.
const SMOLLM2: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != \
    'system' %}{{ '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by \
    Hugging Face<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + \
    message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}\
    {{ '<|im_start|>assistant\\n' }}{% endif %}";

/// In the manner of Llama 2 and Mistral, on several lines: slices, a variable, Python's methods, an
/// exception, trimmed blocks.
const TURNS: &str = "\
{% if messages[0]['role'] == 'system' %}
    {% set system = messages[0].content.strip() + '\\n' %}
    {% set turns = messages[1:] %}
{% else %}
    {% set system = '' %}
    {% set turns = messages %}
{% endif %}
{{ bos_token }}
{%- for message in turns %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Roles must alternate, not ' ~ message.role.upper()) }}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{- '[INST] ' + (system if loop.first else '') + message['content'] | trim + ' [/INST]' }}
    {%- else %}
        {{- ' ' + message['content'].split('</think>')[-1].lstrip() + eos_token }}
    {%- endif %}
{% endfor %}
";

const TOKENS: SpecialTokens<'_> = SpecialTokens {
    bos_token: Some("<s>"),
    eos_token: Some("</s>"),
};

fn conversation(turns: &[(&str, &str)]) -> Vec<Message> {
    turns
        .iter()
        .map(|&(role, content)| Message::new(role, content))
        .collect()
}

fn render(
    template: &str,
    turns: &[(&str, &str)],
    prompt: bool,
) -> Result<String, ChatTemplateError> {
    ChatTemplate::new(template)?.render(&conversation(turns), prompt, TOKENS)
}

#[test]
fn smollm2_adds_its_system_message_and_the_assistants_turn() {
    assert_eq!(
        render(SMOLLM2, &[("user", "Hi <b>&")], true).unwrap(),
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging \
         Face<|im_end|>\n<|im_start|>user\nHi <b>&<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(
        render(SMOLLM2, &[("system", "Be brief."), ("user", "Hi")], false).unwrap(),
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    );
}

#[test]
fn smollm2s_template_is_our_chat_ml() {
    use crate::language::templates::Template;
    let system = Some("Be brief.".to_owned());
    assert_eq!(
        render(SMOLLM2, &[("system", "Be brief."), ("user", "Hi")], true).unwrap(),
        Template::ChatMl { system }.prompt("Hi", "")
    );
}

#[test]
fn blocks_are_trimmed_and_pythons_methods_work() {
    // As Jinja2 3.1.6 renders it with transformers' settings.
    let turns = [
        ("system", " Be brief. "),
        ("user", " One? "),
        ("assistant", "<think>hm</think>\n Yes."),
        ("user", "Two?"),
    ];
    assert_eq!(
        render(TURNS, &turns, true).unwrap(),
        "<s>[INST] Be brief.\nOne? [/INST] Yes.</s>[INST] Two? [/INST]"
    );
}

#[test]
fn a_template_can_refuse_a_conversation() {
    let turns = [("user", "One?"), ("user", "Two?")];
    let error = render(TURNS, &turns, true).unwrap_err();
    assert_eq!(
        error,
        ChatTemplateError::Refused {
            line: 11,
            message: "Roles must alternate, not USER".to_owned()
        }
    );
    assert_eq!(
        error.to_string(),
        "line 11 of the chat template refuses this conversation: Roles must alternate, not USER"
    );
}

#[test]
fn errors_name_the_templates_line() {
    let line = |template: &str| match render(template, &[("user", "Hi")], true) {
        Err(ChatTemplateError::Syntax { line, .. }) => ("syntax", line),
        Err(ChatTemplateError::Rendering { line, .. }) => ("rendering", line),
        other => panic!("{other:?}"),
    };
    assert_eq!(line("{{ bos_token }}\n{% if %}"), ("syntax", 2));
    assert_eq!(line("{% for m in messages %}\n{{ m }}"), ("syntax", 2));
    assert_eq!(line("\n\n{{ messages | tojson }}"), ("rendering", 3));
    assert_eq!(line("\n{{ strftime_now('%Y') }}"), ("rendering", 2));
    assert_eq!(
        line("\n\n\n{{ messages[0].content.nonsense() }}"),
        ("rendering", 4)
    );
    assert_eq!(line("{{ tools.role }}"), ("rendering", 1));
}

#[test]
fn what_is_not_given_is_undefined() {
    let template = "{{ tools is defined }} {{ bos_token is defined }}{{ eos_token }}";
    let rendered =
        ChatTemplate::new(template)
            .unwrap()
            .render(&[], false, SpecialTokens::default());
    assert_eq!(rendered.unwrap(), "False False");
}

#[test]
fn a_template_without_end_is_given_up() {
    let endless = [
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{% for a in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
        "{% set n = namespace(x='x') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{{ 'x' * 99999999999 }}",
    ];
    for template in endless {
        let error = render(template, &[], false).unwrap_err();
        assert!(
            matches!(
                error,
                ChatTemplateError::GivenUp { line: 1 }
                    | ChatTemplateError::Rendering { line: 1, .. }
            ),
            "{template}: {error}"
        );
    }
}

#[test]
fn a_template_longer_than_any_is_not_read() {
    let template = " ".repeat(LONGEST + 1);
    let error = ChatTemplate::new(&template).unwrap_err();
    assert_eq!(error, ChatTemplateError::TooLong { bytes: LONGEST + 1 });
    assert_eq!(error.line(), None);
}

#[test]
fn every_error_says_what_to_do() {
    let errors = [
        render("{% if %}", &[], false).unwrap_err(),
        render("{{ nothing() }}", &[], false).unwrap_err(),
        render("{{ raise_exception('no') }}", &[], false).unwrap_err(),
    ];
    for error in errors {
        assert!(error.remedy().contains("template") || error.remedy().contains("messages"));
        assert_eq!(error.line(), Some(1));
    }
}
