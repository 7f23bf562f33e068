"""Forward and backward passes of the miniatures in transformers, PyTorch and PEFT.

Each sequence runs by itself, so there is neither padding nor an attention mask; rows of
several sequences are concatenated. Losses use the natural logarithm. The models compute in
float64, except where transformers itself insists on float32: the angles of rotary
positions, RMSNorm and the softmax of attention.
"""

import torch
import torch.nn.functional as functional
from peft import PeftModel


def load_base(miniature, folder):
    """The model as it lies in `folder`, its stored values widened to float64."""
    model = miniature.model_class.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    return model.double().eval()


def load_adapted(miniature, folder, adapter="adapter"):
    """The model in `folder` with the adapter beside it, whose tensors alone are trainable."""
    base = load_base(miniature, folder)
    model = PeftModel.from_pretrained(base, folder / adapter)
    # PEFT offers no trainable prompts after loading, hence by hand.
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name or "prompt_encoder" in name
    return model.double().eval()


def rows(model, ids):
    """[tokens, vocabulary] logits of a decoder, [tokens, hidden] states of an encoder."""
    output = model(input_ids=torch.tensor([ids]))
    values = output.logits if "logits" in output else output.last_hidden_state
    # A prompt adapter puts rows in front; those of the real tokens are the last.
    return values[0][-len(ids):]


def rows_of_each(model, sequences):
    return [rows(model, ids) for ids in sequences]


def next_token_loss(logits_of_each, sequences):
    """Mean over all scored rows of all sequences together, in nats per token."""
    scored = torch.cat([logits[:-1] for logits in logits_of_each])
    targets = torch.tensor([token for ids in sequences for token in ids[1:]])
    return functional.cross_entropy(scored, targets)


def class_logits(hidden_of_each, weight, bias):
    """[sequences, classes]: the mean over a sequence's tokens of hidden @ weight^T + bias."""
    return torch.stack([(hidden @ weight.T + bias).mean(0) for hidden in hidden_of_each])


def class_loss(logits, labels):
    """Mean over the sequences, in nats."""
    return functional.cross_entropy(logits, torch.tensor(labels))


def gradients(model):
    """After backward: the gradient by each adapter tensor, under its name in the file."""
    return {
        f"gradient.{name_in_file(name)}": parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def name_in_file(name):
    """PEFT saves a tensor without the name of the adapter it belongs to."""
    return name.replace(".default.", ".")


def response_log_probability(model, prompt, response):
    """The sum over the response's tokens of their log-probability, in nats."""
    logits = rows(model, prompt + response)
    predictions = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return predictions[range(len(response)), response].sum()
