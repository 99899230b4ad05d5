"""Golden logits and greedy continuations of SmolLM2-135M-Instruct on its dequantised GGUF weights, from transformers.

    python make.py ../../../build/models/SmolLM2-135M-Instruct.Q4_1.gguf     (needs torch, transformers, gguf, safetensors)

golden.safetensors: for prompt i  i.ids [tokens] int32, i.indices [250] int32 (the 50 largest logits of the last position and 200
fixed others), i.logits [250] float32, i.greedy [32] int32.
"""
import os, sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    "Question: What is the capital of France?\nAnswer:", "The chemical symbol of gold is", "Once upon a time, in a small village",
    "def fibonacci(n):\n    ", "The year 1969 is remembered for", "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n",
    "Water boils at 100 degrees", "1 + 1 = 2, 2 + 2 = 4, 4 + 4 =", "The largest planet is", "Shakespeare wrote", "import numpy as np\n",
    "Dear Sir or Madam,", "In 1492", "La capitale de la France est", "The opposite of hot is", "Monday, Tuesday, Wednesday,",
    "A triangle has", "Roses are red,", "To be or not to be", "The author of Romeo and Juliet is",
]
torch.set_num_threads(1)
path = os.path.abspath(sys.argv[1])
folder, name = os.path.split(path)
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
out = {}
generator = torch.Generator().manual_seed(1)
for i, prompt in enumerate(PROMPTS):
    ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits[0, -1]
        greedy = ids
        for _ in range(32):
            greedy = torch.cat([greedy, model(greedy).logits[:, -1].argmax(-1, keepdim=True)], 1)
    indices = torch.cat([logits.topk(50).indices, torch.randint(0, logits.numel(), (200,), generator=generator)])
    out |= {f"{i}.ids": ids[0].int(), f"{i}.indices": indices.int(), f"{i}.logits": logits[indices].clone(), f"{i}.greedy": greedy[0, ids.shape[1]:].int()}
save_file(out, os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.safetensors"))
