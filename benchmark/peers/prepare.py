"""Writes a GGUF's dequantised weights and its tokenizer as a Hugging Face folder, which the peers load; or random weights of a shape
with that tokenizer.

    python prepare.py MODEL.gguf FOLDER [llama-1b | tiny]
"""
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

folder, name = os.path.split(os.path.abspath(sys.argv[1]))
if len(sys.argv) > 3:
    # Those of Llama 3.2 1B, and of nothing.
    sizes = {"llama-1b": (128256, 2048, 8192, 16, 32, 8), "tiny": (49152, 64, 128, 2, 4, 2)}[sys.argv[3]]
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(LlamaConfig(
        **dict(zip(names, sizes)), max_position_embeddings=2048, rope_theta=500000.0, rms_norm_eps=1e-5, tie_word_embeddings=True))
else:
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
if hasattr(model.config, "quantization_config"):
    del model.config.quantization_config
for attribute in ("hf_quantizer", "is_quantized"):
    if hasattr(model, attribute):
        setattr(model, attribute, None)
model.save_pretrained(sys.argv[2])
AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(sys.argv[2])
