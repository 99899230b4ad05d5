"""Gradient difference and evaluation tuned by hand: no padding, logits only at labels, one pass for both batches, a fused AdamW.

    python tuned.py --way eager|compile|graphs|evaluation --weights FOLDER --facts FACTS.jsonl [--batch 8] [--share]
"""
import torch
from transformers import AutoTokenizer

import workload
from packed_llama import PackedLlama, pack

a = workload.arguments("eager", "compile", "graphs", "evaluation")
tokenizer = AutoTokenizer.from_pretrained(a.weights)
model = PackedLlama(a.weights, a.device)
parameters = list(model.parameters.values())

if a.way == "evaluation":
    workload.run_evaluation(a, "tuned_evaluation", tokenizer, lambda sequences: model.nll(model.parameters, pack(sequences, a.device, a.share)))

forget, retain = workload.batches(a, tokenizer)
both = pack(forget + retain, a.device, a.share)


def terms_of(parameters):
    nll = model.nll(parameters, both) / both.lengths
    return -nll[: len(forget)].mean(), nll[len(forget) :].mean()


modes = {"compile": "default", "graphs": "reduce-overhead"}  # the latter: with CUDA graphs
if a.way == "graphs":
    for p in parameters:
        torch._dynamo.mark_static_address(p)  # else each replay copies the weights into the graph's inputs
compiled = torch.compile(terms_of, mode=modes[a.way]) if a.way in modes else terms_of


def gradients():
    forget_term, retain_term = compiled(model.parameters)
    (forget_term + retain_term).backward()
    return {"forget": forget_term.detach(), "retain": retain_term.detach()}


optimizer = torch.optim.AdamW(parameters, lr=workload.LEARNING_RATE, weight_decay=0, fused=True)
workload.run_steps(a, f"tuned_{a.way}", parameters, optimizer, gradients)
