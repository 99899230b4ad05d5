"""Tiny random models of every family, written by transformers, with logits and gradients of its own.

    python make.py        (needs torch, transformers, safetensors)

For each case a folder with config.json and model.safetensors (one sharded, one in bf16), and golden.safetensors: tokens [n] int32,
logits [n, vocabulary] float32 at every position, and gradient.<name> float32: d/d parameter of the summed NLL of the last 3 tokens.
"""
import os, shutil

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

torch.set_num_threads(1)
here = os.path.dirname(os.path.abspath(__file__))
common = dict(vocab_size=56, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=64, bos_token_id=None, eos_token_id=0)
llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16, rope_theta=10000.0)
cases = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**common, tie_word_embeddings=False)),
    "llama3_tied": lambda: LlamaForCausalLM(LlamaConfig(**common, tie_word_embeddings=True, rope_parameters=llama3)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**common, tie_word_embeddings=False)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=56, n_embd=16, n_layer=2, n_head=4, n_positions=64, n_inner=24, bos_token_id=None,
                                               eos_token_id=0, attn_pdrop=0, embd_pdrop=0, resid_pdrop=0)),
    "sharded": lambda: LlamaForCausalLM(LlamaConfig(**common, tie_word_embeddings=False)),
    "bf16": lambda: LlamaForCausalLM(LlamaConfig(**common, tie_word_embeddings=False)).to(torch.bfloat16),
}
for number, (name, make) in enumerate(cases.items()):
    torch.manual_seed(number)
    model = make().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    folder = os.path.join(here, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size="8KB" if name == "sharded" else "5GB")
    for extra in os.listdir(folder):
        if extra.startswith("generation_config"):
            os.remove(os.path.join(folder, extra))
    model = type(model).from_pretrained(folder, dtype=torch.float32).eval()  # as others read it: rotary angles in float32
    tokens = torch.randint(0, 56, (1, 12), generator=torch.Generator().manual_seed(number))
    logits = model(tokens).logits[0]
    nll = torch.nn.functional.cross_entropy(logits[-4:-1], tokens[0, -3:], reduction="sum")
    nll.backward()
    golden = {"tokens": tokens[0].int(), "logits": logits.detach().clone()}
    golden |= {"gradient." + n: p.grad.clone() for n, p in model.named_parameters()}
    save_file(golden, os.path.join(folder, "golden.safetensors"))
