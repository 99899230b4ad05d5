"""Gradient difference, evaluation and generation as users of transformers write them: a padded batch, the logits of every position.

    python plain.py --way eager|compile|evaluation|generation --weights FOLDER --facts FACTS.jsonl [--batch 8]
"""
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

import workload

a = workload.arguments("eager", "compile", "evaluation", "generation")
if a.share:
    raise SystemExit("plain.py: --share: batches of transformers are padded, and share no rows")
tokenizer = AutoTokenizer.from_pretrained(a.weights)
model = AutoModelForCausalLM.from_pretrained(a.weights, dtype=torch.float32).to(a.device)
parameters = list(model.parameters())
forward = torch.compile(model) if a.way == "compile" else model


def padded(sequences):
    longest = max(len(tokens) for tokens, _ in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, (tokens, begin) in enumerate(sequences):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, begin : len(tokens)] = torch.tensor(tokens[begin:])
    return ids.to(a.device), mask.to(a.device), labels.to(a.device)


def nll_of(ids, mask, labels):
    """Of each example, summed over its answer."""
    logits = forward(input_ids=ids, attention_mask=mask, use_cache=False).logits
    targets = F.pad(labels[:, 1:], (0, 1), value=-100)  # labels move, not logits, as in transformers' own loss
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="none").view(targets.shape).sum(1)


if a.way == "evaluation":
    workload.run_evaluation(a, "plain_evaluation", tokenizer, lambda sequences: nll_of(*padded(sequences)))


def continued(prompts):
    """The greedy tokens behind each prompt; prompts are padded in front."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts], device=a.device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=a.device)
    return model.generate(ids, attention_mask=mask, max_new_tokens=workload.NEW_TOKENS, do_sample=False, pad_token_id=0, eos_token_id=None)[:, longest:]


if a.way == "generation":
    workload.run_generation(a, "plain_generation", tokenizer, continued)

forget, retain = map(padded, workload.batches(a, tokenizer))
lengths = [(b[2] != -100).sum(1) for b in (forget, retain)]


def gradients():
    forget_term = -(nll_of(*forget) / lengths[0]).mean()
    retain_term = (nll_of(*retain) / lengths[1]).mean()
    (forget_term + retain_term).backward()
    return {"forget": forget_term.detach(), "retain": retain_term.detach()}


workload.run_steps(a, f"plain_{a.way}", parameters, torch.optim.AdamW(parameters, lr=workload.LEARNING_RATE, weight_decay=0), gradients)
