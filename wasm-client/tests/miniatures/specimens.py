"""The miniatures: which architecture, how stored, and where their adapter sits.

A miniature is a real architecture of the transformers library at a size that a test can
carry: hidden size 32, 2 layers, 4 heads, 48 in between, 96 tokens. This file has the table
only; make.py fills and writes the models, passes.py computes with them.
"""

from dataclasses import dataclass

import torch
import transformers

HIDDEN = 32
LAYERS = 2
HEADS = 4
KEY_VALUE_HEADS = 2
INTERMEDIATE = 48
VOCABULARY = 96
POSITIONS = 64
CLASSES = 3

ATTENTION_AND_MLP = [
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
]


@dataclass(frozen=True)
class Miniature:
    """One model with its adapter."""

    name: str
    seed: int
    model_class: type
    config: transformers.PretrainedConfig
    # How the weights are stored. The reference computes in float64 from the stored values.
    dtype: torch.dtype
    # Arguments of peft.LoraConfig beyond those that all miniatures share.
    lora: dict
    # Larger files are split, with an index beside them.
    largest_file: str = "1MB"
    # Which adapters of virtual tokens are written too.
    virtual_tokens: tuple = ()
    is_decoder: bool = True


def llama_like(config_class, **changes):
    """A configuration of the family that llama began."""
    return config_class(
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_VALUE_HEADS,
        intermediate_size=INTERMEDIATE,
        vocab_size=VOCABULARY,
        max_position_embeddings=POSITIONS,
        bos_token_id=1,
        eos_token_id=2,
        **changes,
    )


def llama3_rotation():
    """The bounds are chosen so that, with head size 8, each of the three branches of the
    rule is taken: one frequency is kept, one is interpolated, two are divided."""
    return {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 4.0,
        "low_freq_factor": 0.1,
        "high_freq_factor": 1.0,
        "original_max_position_embeddings": 8,
    }


def rotation(theta):
    return {"rope_type": "default", "rope_theta": theta}


def llama():
    config = llama_like(
        transformers.LlamaConfig,
        tie_word_embeddings=False,
        rms_norm_eps=1e-6,
        rope_parameters=llama3_rotation(),
    )
    return Miniature(
        "llama", 11, transformers.LlamaForCausalLM, config, torch.bfloat16,
        {"target_modules": ATTENTION_AND_MLP},
    )


def llama_tied():
    config = llama_like(
        transformers.LlamaConfig,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "linear", "rope_theta": 100000.0, "factor": 2.0},
    )
    return Miniature(
        "llama_tied", 12, transformers.LlamaForCausalLM, config, torch.float32,
        {"target_modules": ["q_proj", "v_proj"], "use_rslora": True},
        largest_file="30KB", virtual_tokens=("prompt", "prefix", "p_tuning"),
    )


def mistral():
    config = llama_like(
        transformers.MistralConfig,
        tie_word_embeddings=False,
        sliding_window=None,
        rope_parameters=rotation(10000.0),
    )
    return Miniature(
        "mistral", 13, transformers.MistralForCausalLM, config, torch.float16,
        {"target_modules": ATTENTION_AND_MLP},
    )


def qwen2():
    config = llama_like(
        transformers.Qwen2Config,
        tie_word_embeddings=True,
        rope_parameters=rotation(1000000.0),
    )
    return Miniature(
        "qwen2", 14, transformers.Qwen2ForCausalLM, config, torch.bfloat16,
        {"target_modules": ATTENTION_AND_MLP},
    )


def qwen3():
    # Heads times head size is 64, not the hidden size.
    config = llama_like(
        transformers.Qwen3Config,
        tie_word_embeddings=False,
        head_dim=16,
        rope_parameters=rotation(1000000.0),
    )
    return Miniature(
        "qwen3", 15, transformers.Qwen3ForCausalLM, config, torch.float32,
        {"target_modules": ATTENTION_AND_MLP}, virtual_tokens=("prefix",),
    )


def gpt2():
    config = transformers.GPT2Config(
        n_embd=HIDDEN, n_layer=LAYERS, n_head=HEADS, n_inner=INTERMEDIATE,
        vocab_size=VOCABULARY, n_positions=32, activation_function="gelu_new",
        bos_token_id=1, eos_token_id=2,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )
    # "attn.c_proj", since "c_proj" alone would name the MLP's second layer too. The base
    # stores these weights as [in, out], which fan_in_fan_out says.
    return Miniature(
        "gpt2", 16, transformers.GPT2LMHeadModel, config, torch.float32,
        {"target_modules": ["c_attn", "attn.c_proj", "c_fc"], "fan_in_fan_out": True},
        virtual_tokens=("prefix",),
    )


def bert():
    config = transformers.BertConfig(
        hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=INTERMEDIATE, vocab_size=VOCABULARY,
        max_position_embeddings=32, type_vocab_size=2,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )
    return Miniature(
        "bert", 17, transformers.BertModel, config, torch.float32,
        {"target_modules": ["query", "value"]}, is_decoder=False,
    )


def distilbert():
    config = transformers.DistilBertConfig(
        dim=HIDDEN, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INTERMEDIATE,
        vocab_size=VOCABULARY, max_position_embeddings=32,
        dropout=0.0, attention_dropout=0.0,
    )
    return Miniature(
        "distilbert", 18, transformers.DistilBertModel, config, torch.float32,
        {"target_modules": ["q_lin", "v_lin", "ffn.lin1"]}, is_decoder=False,
    )


def all_miniatures():
    """Every miniature by its name, which is its folder's name too."""
    makers = [llama, llama_tied, mistral, qwen2, qwen3, gpt2, bert, distilbert]
    return {miniature.name: miniature for miniature in (make() for make in makers)}
