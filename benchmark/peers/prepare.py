"""Writes a GGUF's dequantised weights and its tokenizer as a Hugging Face folder, which the peers load.

    python prepare.py MODEL.gguf FOLDER
"""
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, name = os.path.split(os.path.abspath(sys.argv[1]))
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
if hasattr(model.config, "quantization_config"):
    del model.config.quantization_config
for attribute in ("hf_quantizer", "is_quantized"):
    if hasattr(model, attribute):
        setattr(model, attribute, None)
model.save_pretrained(sys.argv[2])
AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(sys.argv[2])
