"""Whether transformers and PEFT read a model and an adapter as whoever wrote them does.

    python peft_check.py --model DIR --adapter DIR --logits FILE.json

loads a decoder of Hugging Face's layout with a PEFT adapter and compares its logits with those
in the file, {"sequences": [[id, ...], ...], "logits": [[one row], ...]}: one row of logits
per token, those of the first sequence first. Each sequence runs by itself, in float64 from
the stored values. Prints the largest absolute difference; the exit status is 1 above 1e-3,
where a number is not finite, and where the adapter's tensors are not those PEFT expects.
"""

import argparse
import json
import os
import sys
from pathlib import Path

# Both folders are here; no server has anything to add.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

LARGEST_ALLOWED = 1e-3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "adapter", "logits"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def load(model, adapter):
    base = AutoModelForCausalLM.from_pretrained(
        model, attn_implementation="eager", dtype=torch.float32
    )
    adapted = PeftModel.from_pretrained(base, adapter)
    refuse_other_names(adapted, adapter)
    return adapted.double().eval()


def refuse_other_names(adapted, adapter):
    """PEFT passes over tensors that it does not know and leaves those it lacks as they began,
    with a warning at most."""
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    given = set(load_file(adapter / "adapter_model.safetensors"))
    if wanted != given:
        sys.exit(f"tensors missing: {sorted(wanted - given)}, unknown: {sorted(given - wanted)}")


def rows(model, ids):
    """[tokens, vocabulary]; a prompt adapter's rows come first and are left out."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0][-len(ids):]


def largest_difference(model, expected):
    computed = torch.cat([rows(model, ids) for ids in expected["sequences"]])
    given = torch.tensor(expected["logits"], dtype=torch.float64)
    if computed.shape != given.shape:
        sys.exit(f"logits are {list(given.shape)} in the file, {list(computed.shape)} computed")
    return (computed - given).abs().max().item()


def main():
    given = arguments()
    disable_progress_bar()
    model = load(given.model, given.adapter)
    difference = largest_difference(model, json.loads(given.logits.read_text()))
    print(f"largest absolute difference: {difference:.3e}")
    # Written so that a difference that is not a number fails.
    sys.exit(0 if difference <= LARGEST_ALLOWED else 1)


if __name__ == "__main__":
    main()
