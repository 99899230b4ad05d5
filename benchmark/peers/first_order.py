"""SSIUU first order (Algorithm 1: per parameter, batch sum, squared, the gradient inside A held constant) on the tuned model.

    python first_order.py --way eager --weights FOLDER --facts FACTS.jsonl [--batch 8] [--share]

g = d sum_b exp(-S_b) / d parameter for A = parameter * g, then the base loss; the penalty adds lambda 2 (A - A_before) g to the
gradient where A is negative. The forget batch is swept back twice, the retain batch once, each in a pass of its own: in one pass for both
the first sweep would be of both.
"""
import torch
from transformers import AutoTokenizer

import workload
from packed_llama import PackedLlama, pack

a = workload.arguments("eager")
model = PackedLlama(a.weights, a.device)
parameters = list(model.parameters.values())
forget, retain = (pack(s, a.device, a.share) for s in workload.batches(a, AutoTokenizer.from_pretrained(a.weights)))
previous = None


def gradients():
    global previous
    nll = model.nll(model.parameters, forget)
    inner = torch.autograd.grad((-nll).exp().sum(), parameters, retain_graph=True)
    forget_term = -(nll / forget.lengths).mean()
    forget_term.backward()
    retain_term = (model.nll(model.parameters, retain) / retain.lengths).mean()
    retain_term.backward()
    penalty = 0
    with torch.no_grad():
        now = torch._foreach_mul(parameters, inner)
        if previous is not None:
            torch._foreach_sub_(previous, now)  # in place, for A_before - A
            torch._foreach_mul_(previous, [-(x < 0).float() for x in now])
            penalty = workload.LAMBDA * torch.stack(torch._foreach_norm(previous)).square().sum()
            torch._foreach_addcmul_([p.grad for p in parameters], previous, inner, value=2 * workload.LAMBDA)
        previous = now
    return {"forget": forget_term.detach(), "retain": retain_term.detach(), "penalty": penalty}


optimizer = torch.optim.AdamW(parameters, lr=workload.LEARNING_RATE, weight_decay=0, fused=True)
workload.run_steps(a, "first_order", parameters, optimizer, gradients)
