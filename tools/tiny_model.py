"""Writes a model that is real in every respect but knowledge: random weights, and a tokenizer made on the spot."""

# Runs in the inference server's own environment (make real-model): torch and transformers are no part of ours.
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEED = 20261120
TEXT = (
    "The mesh asks the cheapest vendor that can serve a request now, holds the budget before it asks, moves on when a "
    "vendor fails, and says afterwards why it did what it did. A stream without its end is no success. "
)
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
BEGIN, END = "<|begin|>", "<|end|>"
SPECIAL = [BEGIN, END, "<|system|>", "<|user|>", "<|assistant|>"]


def tokenizer() -> PreTrainedTokenizerFast:
    """Train a small byte-level tokenizer; every byte is in it, so that no text is beyond it."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [TEXT], trainers.BpeTrainer(vocab_size=512, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=BEGIN, eos_token=END, pad_token=END)
    fast.chat_template = TEMPLATE
    return fast


def main(directory: Path) -> None:
    """Write the model and its tokenizer where the server finds them."""
    torch.manual_seed(SEED)
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    words.save_pretrained(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
