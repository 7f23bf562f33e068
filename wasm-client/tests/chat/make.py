"""Writes conversations.json: conversations, chat templates, and the texts that Jinja2 makes of them.

    python make.py

The templates are the *.jinja files beside this one, in the manner of published chat models:
ChatML (Qwen2, SmolLM2), headers (Llama 3), bars (Zephyr), brackets (Mistral) and a later kind that
leaves out what was thought (Qwen3). Jinja2 has the settings that transformers gives it: blocks
trimmed, `break` and `continue`, `raise_exception`. Nothing here shares code with this project.
"""

import json
from importlib.metadata import version
from pathlib import Path

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = Path(__file__).parent
# A special token is text, or an object: both are in use.
TOKENS = {
    "chatml": {"bos_token": None, "eos_token": "<|im_end|>"},
    "headers": {
        "bos_token": {"content": "<|begin_of_text|>", "special": True},
        "eos_token": "<|eot_id|>",
    },
    "bars": {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}},
    "brackets": {"bos_token": "<s>", "eos_token": "</s>"},
    "thinking": {"eos_token": "<|im_end|>"},
}
CONVERSATIONS = {
    "one question": [("user", " What is 2 + 2? ")],
    "a system message": [("system", "Be brief."), ("user", "Hi <b>&\"'")],
    "an answer": [("user", "Hello"), ("assistant", " Good day. ")],
    "several turns": [
        ("system", "You know ä, 漢字 and 🎭."),
        ("user", "One?"),
        ("assistant", "<think>\nhm\n</think>\n\nYes."),
        ("user", "Two?\n\nOr three?"),
    ],
    "no turns": [("user", "One?"), ("user", "Two?")],
}


def environment():
    jinja = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )

    def raise_exception(message):
        raise TemplateError(message)

    jinja.globals["raise_exception"] = raise_exception
    return jinja


def token(value):
    return value["content"] if isinstance(value, dict) else value


def outcome(template, context):
    """The text, or what the template refuses the conversation with."""
    try:
        return {"text": template.render(**context)}
    except TemplateError as error:
        return {"refused": error.message}


def case(name, title, turns, prompt):
    source = (HERE / f"{name}.jinja").read_text()
    messages = [{"role": role, "content": content} for role, content in turns]
    tokens = {key: token(value) for key, value in TOKENS[name].items() if value is not None}
    context = {"messages": messages, "add_generation_prompt": prompt, **tokens}
    found = outcome(environment().from_string(source), context)
    return {
        "template": name,
        "conversation": title,
        "messages": messages,
        "add_generation_prompt": prompt,
        **found,
    }


def main():
    cases = [
        case(name, title, turns, prompt)
        for name in TOKENS
        for title, turns in CONVERSATIONS.items()
        for prompt in (True, False)
    ]
    content = {"jinja2": version("jinja2"), "tokens": TOKENS, "cases": cases}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (HERE / "conversations.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
