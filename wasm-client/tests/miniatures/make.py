"""Writes the miniatures: small models, adapters and what the reference computes with them.

    python make.py [name...]

rewrites the folders of the named miniatures beside this file, or all of them, `dpo` too.
The reference is transformers with PyTorch on the CPU and PEFT, at the versions in
requirements.txt; it shares no code with this project. Every random number comes from a
fixed seed, so a second run writes the same bytes. README.md says what each file holds.
"""

import json
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

# PEFT would ask a server whether it knows the base model.
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy
import torch
from peft import (
    LoraConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from safetensors.torch import save_file
from transformers.utils.logging import disable_progress_bar

import passes
from specimens import CLASSES, HIDDEN, VOCABULARY, all_miniatures

HERE = Path(__file__).parent
SEQUENCE_LENGTHS = (9, 14)
MATRIX_DEVIATION = 0.25
VECTOR_DEVIATION = 0.2
# Lower ids are begin, end and padding in some of the configurations.
FIRST_ORDINARY_TOKEN = 3
PROMPT_TOKENS = 3
PROMPT_ENCODER_WIDTH = 12
DPO_BETA = 0.1
DPO_SEED = 31
# Lengths of prompt, chosen and rejected response.
DPO_LENGTHS = ((4, 5, 3), (6, 2, 7), (3, 8, 6))


def normal(random, shape, deviation):
    return torch.from_numpy(deviation * random.standard_normal(tuple(shape))).float()


def fill_base(model, random):
    """Weights large enough that no part of the model is close to doing nothing."""
    for name, parameter in sorted(model.named_parameters()):
        if parameter.dim() == 2:
            values = normal(random, parameter.shape, MATRIX_DEVIATION)
        else:
            values = normal(random, parameter.shape, VECTOR_DEVIATION)
            # A vector that is no bias is the gain of a norm.
            values += 0.0 if name.endswith("bias") else 1.0
        parameter.data.copy_(values)


def fill_adapter(model, random):
    """B too is non-zero: PEFT begins with B = 0, where the adapter has no effect."""
    for _, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad:
            parameter.data.copy_(normal(random, parameter.shape, MATRIX_DEVIATION))


def write_base(miniature, folder, random):
    model = miniature.model_class(miniature.config)
    fill_base(model, random)
    model.to(miniature.dtype).save_pretrained(folder, max_shard_size=miniature.largest_file)
    # How to sample from the model is no part of a miniature.
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_older_config(folder)


def write_older_config(folder):
    """The same configuration as transformers wrote it before version 5, and as most published
    models still have it: the rotation's keys beside the others, another name for the dtype."""
    config = json.loads((folder / "config.json").read_text())
    rotation = config.pop("rope_parameters", None)
    if rotation is None:
        return
    config["rope_theta"] = rotation.pop("rope_theta")
    config["rope_scaling"] = None if rotation["rope_type"] == "default" else rotation
    config["torch_dtype"] = config.pop("dtype")
    del config["transformers_version"]
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / "config.before_5.json").write_text(text + "\n")


def write_adapter(miniature, base, folder, config, random):
    model = get_peft_model(base, config)
    fill_adapter(model, random)
    saved = model.peft_config["default"]
    # The folder on the machine that made it would say nothing elsewhere.
    saved.base_model_name_or_path = f"miniatures/{miniature.name}"
    # PEFT keeps these as a set, whose order differs from run to run.
    if getattr(saved, "target_modules", None):
        saved.target_modules = sorted(saved.target_modules)
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()


def lora_config(miniature):
    task = TaskType.CAUSAL_LM if miniature.is_decoder else TaskType.FEATURE_EXTRACTION
    return LoraConfig(task_type=task, r=4, lora_alpha=8, lora_dropout=0.0, **miniature.lora)


def virtual_tokens_config(kind):
    usual = {"task_type": TaskType.CAUSAL_LM, "num_virtual_tokens": PROMPT_TOKENS}
    match kind:
        case "prompt":
            return PromptTuningConfig(**usual)
        case "prefix":
            return PrefixTuningConfig(**usual)
        case "p_tuning":
            return PromptEncoderConfig(**usual, encoder_hidden_size=PROMPT_ENCODER_WIDTH)


def random_ids(random, length):
    return random.integers(FIRST_ORDINARY_TOKEN, VOCABULARY, length).tolist()


def decoder_reference(miniature, folder, sequences):
    """Numbers for reference.json and tensors for reference.safetensors."""
    with torch.no_grad():
        base = passes.rows_of_each(passes.load_base(miniature, folder), sequences)
    model = passes.load_adapted(miniature, folder)
    adapted = passes.rows_of_each(model, sequences)
    adapted_loss = passes.next_token_loss(adapted, sequences)
    adapted_loss.backward()
    numbers = {
        "loss": passes.next_token_loss(base, sequences).item(),
        "adapted_loss": adapted_loss.item(),
    }
    tensors = {"logits": torch.cat(base), "adapted.logits": torch.cat(adapted)}
    return numbers, tensors | passes.gradients(model)


def virtual_tokens_reference(miniature, folder, sequences, kind):
    """The same for an adapter of virtual tokens; it was trained on the bare model. What PEFT
    keeps of a prompt encoder has no gradient: it is what the encoder made."""
    model = passes.load_adapted(miniature, folder, f"{kind}_adapter")
    logits = passes.rows_of_each(model, sequences)
    loss = passes.next_token_loss(logits, sequences)
    tensors = {f"{kind}_adapted.logits": torch.cat(logits)}
    if kind != "p_tuning":
        loss.backward()
        (embedding,) = [p for p in model.parameters() if p.requires_grad]
        tensors[f"{kind}_gradient.prompt_embeddings"] = embedding.grad
    return {f"{kind}_adapted_loss": loss.item()}, tensors


def encoder_reference(miniature, folder, sequences, labels, random):
    """Numbers for reference.json and tensors for reference.safetensors."""
    weight = normal(random, (CLASSES, HIDDEN), MATRIX_DEVIATION).double().requires_grad_()
    bias = normal(random, (CLASSES,), VECTOR_DEVIATION).double().requires_grad_()
    with torch.no_grad():
        base = passes.rows_of_each(passes.load_base(miniature, folder), sequences)
        base_logits = passes.class_logits(base, weight, bias)
    model = passes.load_adapted(miniature, folder)
    adapted = passes.rows_of_each(model, sequences)
    logits = passes.class_logits(adapted, weight, bias)
    adapted_loss = passes.class_loss(logits, labels)
    adapted_loss.backward()
    numbers = {
        "loss": passes.class_loss(base_logits, labels).item(),
        "adapted_loss": adapted_loss.item(),
    }
    tensors = {
        "hidden": torch.cat(base),
        "adapted.hidden": torch.cat(adapted),
        "classifier.weight": weight,
        "classifier.bias": bias,
        "logits": base_logits,
        "adapted.logits": logits,
        "gradient.classifier.weight": weight.grad,
        "gradient.classifier.bias": bias.grad,
    }
    return numbers, tensors | passes.gradients(model)


def versions():
    return {name: version(name) for name in ("transformers", "torch", "peft")}


def write_reference(folder, numbers, tensors):
    (folder / "reference.json").write_text(json.dumps(numbers, indent=2) + "\n")
    stored = {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}
    save_file(stored, folder / "reference.safetensors")


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def make_miniature(miniature):
    folder = HERE / miniature.name
    empty(folder)
    random = numpy.random.default_rng(miniature.seed)
    write_base(miniature, folder, random)
    base = passes.load_base(miniature, folder).float()
    write_adapter(miniature, base, folder / "adapter", lora_config(miniature), random)
    sequences = [random_ids(random, length) for length in SEQUENCE_LENGTHS]
    numbers = {"sequences": sequences}
    if miniature.is_decoder:
        computed, tensors = decoder_reference(miniature, folder, sequences)
    else:
        numbers["labels"] = random.integers(0, CLASSES, len(sequences)).tolist()
        computed, tensors = encoder_reference(
            miniature, folder, sequences, numbers["labels"], random
        )
    numbers |= computed
    for kind in miniature.virtual_tokens:
        base = passes.load_base(miniature, folder).float()
        config = virtual_tokens_config(kind)
        write_adapter(miniature, base, folder / f"{kind}_adapter", config, random)
        computed, more = virtual_tokens_reference(miniature, folder, sequences, kind)
        numbers |= computed
        tensors |= more
    write_reference(folder, numbers | versions(), tensors)


def preference_pair(model, lengths, random):
    """One pair's ids and log-probabilities, and its margin beta * (...), which has a gradient."""
    prompt, chosen, rejected = (random_ids(random, length) for length in lengths)
    adapted = [passes.response_log_probability(model, prompt, r) for r in (chosen, rejected)]
    with torch.no_grad(), model.disable_adapter():
        base = [passes.response_log_probability(model, prompt, r) for r in (chosen, rejected)]
    margin = DPO_BETA * ((adapted[0] - base[0]) - (adapted[1] - base[1]))
    numbers = {
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "chosen_log_probability": adapted[0].item(),
        "rejected_log_probability": adapted[1].item(),
        "reference_chosen_log_probability": base[0].item(),
        "reference_rejected_log_probability": base[1].item(),
    }
    return numbers, margin


def make_dpo():
    """Direct preference optimisation of the llama miniature's adapter; the reference model
    is the same model with the adapter switched off."""
    folder = HERE / "dpo"
    empty(folder)
    model = passes.load_adapted(all_miniatures()["llama"], HERE / "llama")
    random = numpy.random.default_rng(DPO_SEED)
    pairs = [preference_pair(model, lengths, random) for lengths in DPO_LENGTHS]
    margins = torch.stack([margin for _, margin in pairs])
    loss = -torch.nn.functional.logsigmoid(margins).mean()
    loss.backward()
    numbers = {
        "beta": DPO_BETA,
        "pairs": [numbers for numbers, _ in pairs],
        "loss": loss.item(),
        "reward_accuracy": (margins > 0).double().mean().item(),
    }
    write_reference(folder, numbers | versions(), passes.gradients(model))


def main(names):
    # The order of sums, and with it the last bits, would depend on the number of threads.
    torch.set_num_threads(1)
    disable_progress_bar()
    miniatures = all_miniatures()
    for name in names or [*miniatures, "dpo"]:
        if name == "dpo":
            make_dpo()
        elif name in miniatures:
            make_miniature(miniatures[name])
        else:
            sys.exit(f"no miniature has the name {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
