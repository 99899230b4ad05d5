"""SSIUU first order (Algorithm 1: per parameter, batch sum, squared, the gradient inside A held constant) on the tuned model.

    python first_order.py --way eager --weights FOLDER --facts FACTS.jsonl [--batch 8]

One pass, two sweeps: g = d sum_b exp(-S_b) / d parameter for A = parameter * g, then the base loss. The penalty adds
lambda 2 (A - A_before) g to the gradient where A is negative.
"""
import torch
from transformers import AutoTokenizer

import workload
from packed_llama import PackedLlama, pack

a = workload.arguments("eager")
model = PackedLlama(a.weights, a.device)
parameters = list(model.parameters.values())
forget, retain = workload.batches(a, AutoTokenizer.from_pretrained(a.weights))
both = pack(forget + retain, a.device)
previous = None


def gradients():
    global previous
    nll = model.nll(model.parameters, both)
    inner = torch.autograd.grad((-nll[: len(forget)]).exp().sum(), parameters, retain_graph=True)
    per_token = nll / both.lengths
    forget_term, retain_term = -per_token[: len(forget)].mean(), per_token[len(forget) :].mean()
    (forget_term + retain_term).backward()
    penalty = 0
    with torch.no_grad():
        now = [p * g for p, g in zip(parameters, inner)]
        for p, g, x, before in zip(parameters, inner, now, previous or []):
            growth = (x - before) * (x < 0)
            penalty = penalty + workload.LAMBDA * growth.square().sum()
            p.grad.addcmul_(growth, g, value=2 * workload.LAMBDA)
        previous = now
    return {"forget": forget_term.detach(), "retain": retain_term.detach(), "penalty": penalty}


optimizer = torch.optim.AdamW(parameters, lr=workload.LEARNING_RATE, weight_decay=0, fused=True)
workload.run_steps(a, "first_order", parameters, optimizer, gradients)
