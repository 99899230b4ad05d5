"""Exact SSIUU per neuron (batch sum, absolute value, on gradient difference) on the tuned model, gates per example, or with
shared beginnings for the batch, whose sum is all that the penalty looks at.

    python exact.py --way double_backward|forward_over_reverse --weights FOLDER --facts FACTS.jsonl [--batch 8] [--share]

Attributions are the gradient of P = exp(-S) by the gates, A[b, i] = dP_b / d gate[b, i]. double_backward keeps the graph of that
gradient and differentiates the penalty through it. forward_over_reverse is torch.func's jvp of grad: with v = d penalty / dA, the
tangent of grad_theta sum_b P_b along the gates' v; a tangent on a second input, the weights c_b of S_b, adds the base loss for nothing.
"""
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoTokenizer

import workload
from packed_llama import PackedLlama, pack

a = workload.arguments("double_backward", "forward_over_reverse", "forward_over_reverse_compile")
model = PackedLlama(a.weights, a.device)
parameters = list(model.parameters.values())
forget, retain = (pack(s, a.device, a.share) for s in workload.batches(a, AutoTokenizer.from_pretrained(a.weights)))
base_weights = -1 / (forget.examples * forget.lengths)  # d forget term / d S
previous = None


def second_order():
    """The fused kernel of attention has neither a second derivative nor a tangent; sums of products in bf16 need not be in float."""
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    return sdpa_kernel(SDPBackend.MATH)


def penalty_of(attributions):
    """The penalty and its slope by the batch's sums; stores the sums as the next step's reference."""
    global previous
    reference, sums = previous, torch.cat([x.sum(0) for x in attributions])
    previous = sums.detach()
    if reference is None:
        return None, None
    mask = (previous < 0).float()
    change = sums - reference
    return workload.LAMBDA * (mask * change.abs()).sum(), workload.LAMBDA * mask * change.detach().sign()


def retain_gradients():
    term = (model.nll(model.parameters, retain) / retain.lengths).mean()
    term.backward()
    return term.detach()


def double_backward():
    retain_term = retain_gradients()
    gates = [g.requires_grad_() for g in model.gates(forget)]
    with second_order():
        nll = model.nll(model.parameters, forget, gates)
    penalty, _ = penalty_of(torch.autograd.grad((-nll).exp().sum(), gates, create_graph=True))
    term = (base_weights * nll).sum()
    (term if penalty is None else term + penalty).backward(inputs=parameters)
    return {"forget": term.detach(), "retain": retain_term, "penalty": penalty.detach() if penalty is not None else 0}


def tangent_of(parameters, gates, tangents, c):
    """The tangent of grad_theta sum_b P_b along the gates' `tangents`, and the gradient of sum_b c_b S_b."""

    def value(parameters, gates, c):
        s = model.nll(parameters, forget, gates)
        return (-s).exp().sum() + (c * s).sum()

    gradient = lambda gates, c: torch.func.grad(value)(parameters, gates, c)
    return torch.func.jvp(gradient, (gates, torch.zeros_like(c)), (tangents, c))[1]


if a.way.endswith("compile"):
    tangent_of = torch.compile(tangent_of)


def forward_over_reverse():
    retain_term = retain_gradients()
    gates = [g.requires_grad_() for g in model.gates(forget)]
    frozen = {k: p.detach() for k, p in model.parameters.items()}
    nll = model.nll(frozen, forget, gates)  # only the gates want a gradient: no products for the weights
    penalty, slopes = penalty_of(torch.autograd.grad((-nll).exp().sum(), gates))
    nll, gates = nll.detach(), [g.detach() for g in gates]
    neurons = [g.shape[1] for g in gates]
    along = torch.zeros(sum(neurons), device=a.device) if slopes is None else slopes
    tangents = [s.expand_as(g) for s, g in zip(along.split(neurons), gates)]
    with second_order():
        gradients = tangent_of(frozen, gates, tangents, base_weights)
    for name, p in model.parameters.items():
        p.grad += gradients[name]
    return {"forget": (base_weights * nll).sum(), "retain": retain_term, "penalty": penalty if penalty is not None else 0}


optimizer = torch.optim.AdamW(parameters, lr=workload.LEARNING_RATE, weight_decay=0, fused=True)
workload.run_steps(a, a.way, parameters, optimizer, double_backward if a.way == "double_backward" else forward_over_reverse)
