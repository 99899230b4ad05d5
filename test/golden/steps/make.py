"""Writes ten steps of every kind of unlearning on a tiny Llama, computed plainly in float64: pip install numpy safetensors torch.

Every example goes through the model alone, as tokens[:-1]. S_b is the summed NLL of its answer, n_b the number of answer tokens,
P_b = exp(-S_b). Losses: ga = -mean S_b/n_b over the forget batch, gd = ga + mean S_r/n_r over the retain batch, ssiuu = gd + lambda R.

Files: start.safetensors and start_tied.safetensors hold the models before unlearning (F32), data.safetensors the ragged sequences
(answer_begin counts from the beginning of a sequence), index.json the cases, and golden.safetensors for each case
"<case>.weights", F32, the final parameters end to end in the order of `names`, and "<case>.log", F64 [10, 4]: forget mean S_b/n_b,
retain mean S_r/n_r (0 where unused), lambda R, gradient norm before clipping."""
import json
import math
import pathlib
import statistics

import numpy as np
import torch
from safetensors.torch import save_file

vocabulary, hidden, ffn, layers, heads, kv_heads, head_dim = 48, 16, 32, 2, 4, 2, 4
examples, batch_size, steps = 12, 4, 10
all_sites = ["q", "k", "v", "o", "gate", "up", "down"]


def shapes(tied):
    result = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for layer in range(layers):
        block = f"model.layers.{layer}."
        result[block + "input_layernorm.weight"] = (hidden,)
        result[block + "self_attn.q_proj.weight"] = (heads * head_dim, hidden)
        result[block + "self_attn.k_proj.weight"] = (kv_heads * head_dim, hidden)
        result[block + "self_attn.v_proj.weight"] = (kv_heads * head_dim, hidden)
        result[block + "self_attn.o_proj.weight"] = (hidden, heads * head_dim)
        result[block + "post_attention_layernorm.weight"] = (hidden,)
        result[block + "mlp.gate_proj.weight"] = (ffn, hidden)
        result[block + "mlp.up_proj.weight"] = (ffn, hidden)
        result[block + "mlp.down_proj.weight"] = (hidden, ffn)
    result["model.norm.weight"] = (hidden,)
    if not tied:
        result["lm_head.weight"] = (vocabulary, hidden)
    return result


def rms_norm(x, weight):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * weight


def rotary(x):  # [rows, heads, head_dim]
    frequency = 10000.0 ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angle = torch.arange(len(x), dtype=torch.float64)[:, None] * frequency
    cos, sin = (torch.cat([f(angle)] * 2, -1)[:, None, :] for f in (torch.cos, torch.sin))
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def logits(w, tokens, outputs):
    """[rows, vocabulary]; `outputs` collects (site, h [rows, neurons]) of every linear layer of the blocks."""
    rows = len(tokens)

    def linear(name, site, x):
        h = x @ w[name].T
        outputs.append((site, h))
        return h

    future = torch.ones(rows, rows, dtype=torch.bool).triu(1)
    x = w["model.embed_tokens.weight"][tokens]
    for layer in range(layers):
        block = f"model.layers.{layer}."
        n = rms_norm(x, w[block + "input_layernorm.weight"])
        q = rotary(linear(block + "self_attn.q_proj.weight", "q", n).view(rows, heads, head_dim))
        k = rotary(linear(block + "self_attn.k_proj.weight", "k", n).view(rows, kv_heads, head_dim))
        v = linear(block + "self_attn.v_proj.weight", "v", n).view(rows, kv_heads, head_dim)
        mixed = []
        for head in range(heads):
            shared = head // (heads // kv_heads)
            scores = (q[:, head] @ k[:, shared].T / math.sqrt(head_dim)).masked_fill(future, -math.inf)
            mixed.append(torch.softmax(scores, -1) @ v[:, shared])
        x = x + linear(block + "self_attn.o_proj.weight", "o", torch.cat(mixed, -1))
        n = rms_norm(x, w[block + "post_attention_layernorm.weight"])
        gate = linear(block + "mlp.gate_proj.weight", "gate", n)
        up = linear(block + "mlp.up_proj.weight", "up", n)
        x = x + linear(block + "mlp.down_proj.weight", "down", gate * torch.sigmoid(gate) * up)
    head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    return rms_norm(x, w["model.norm.weight"]) @ head.T


def answer_nll(w, sequence, outputs):
    """S_b and n_b."""
    tokens, answer_begin = sequence
    log_p = torch.log_softmax(logits(w, tokens[:-1], outputs), -1)[answer_begin - 1:]
    answer = tokens[answer_begin:]
    return -log_p.gather(1, answer[:, None]).sum(), len(answer)


def attribution(w, case, nll, outputs):
    """A_b, one value a feature, differentiable as the case's curvature asks."""
    if case["granularity"] == "parameter":
        features = list(w.values())
    else:
        features = [h for site, h in outputs if site in case["sites"]]
    gradients = torch.autograd.grad(torch.exp(-nll), features, create_graph=True)
    if case["curvature"] == "first":
        gradients = [g.detach() for g in gradients]
    products = [f * g for f, g in zip(features, gradients)]
    if case["granularity"] == "neuron":
        products = [p.sum(0) for p in products]
    return torch.cat([p.flatten() for p in products])


def attribution_now(w, case, sequence):
    outputs = []
    nll, _ = answer_nll(w, sequence, outputs)
    return attribution(w, case, nll, outputs).detach()


def penalty(case, a, reference):
    """R; `a` [batch, features], `reference` the batch sum [features] or a list of A_b or None."""
    if case["reference"] == "previous":
        if reference is None:
            return None
        difference = (a.sum(0) - reference)[None]
    else:
        visited = [a_b - r_b for a_b, r_b in zip(a, reference) if r_b is not None]
        if not visited:
            return None
        difference = torch.stack(visited)
        if case["reduction"] == "batch":
            difference = difference.sum(0, keepdim=True)
    negative = a.detach().sum(0) < 0
    rho = torch.square if case["norm"] == "squared" else torch.abs  # the gradient of abs at 0 is 0
    return rho(difference)[:, negative].sum()


def unlearn(case, start, forget, retain):
    """The final weights, the log, |lambda dR| / |d base| and the mean P_b of each step's batch."""
    w = {name: value.clone().requires_grad_() for name, value in start.items()}
    parameters = list(w.values())
    if case["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(parameters, lr=case["lr"], momentum=case["momentum"])
    else:
        optimizer = torch.optim.AdamW(parameters, lr=case["lr"], betas=(0.9, 0.999), eps=1e-8, weight_decay=case["weight_decay"])
    ssiuu = case["method"] == "ssiuu"
    previous, last = None, [None] * len(forget)
    if case["reference"] == "original":
        last = [attribution_now(w, case, sequence) for sequence in forget]
    log, ratios, probabilities = [], [], []
    for step in range(steps):
        batch = [(step * batch_size + j) % len(forget) for j in range(batch_size)]
        losses, a, p = [], [], []
        for b in batch:
            outputs = []
            nll, n = answer_nll(w, forget[b], outputs)
            losses.append(nll / n)
            p.append(math.exp(-nll.item()))
            if ssiuu:
                a.append(attribution(w, case, nll, outputs))
        forget_loss = sum(losses) / len(batch)
        retain_loss = torch.zeros((), dtype=torch.float64)
        if case["method"] != "ga":
            retain_loss = sum(nll / n for nll, n in (answer_nll(w, retain[r], []) for r in batch)) / len(batch)
        gradients = torch.autograd.grad(retain_loss - forget_loss, parameters, retain_graph=ssiuu)
        base_norm = torch.cat([g.flatten() for g in gradients]).norm().item()
        penalty_value = penalty_norm = 0.0
        if ssiuu:
            a = torch.stack(a)
            r = penalty(case, a, previous if case["reference"] == "previous" else [last[b] for b in batch])
            if r is not None:
                r = case["lambda"] * r
                extra = torch.autograd.grad(r, parameters, materialize_grads=True, allow_unused=True)
                gradients = [g + e for g, e in zip(gradients, extra)]
                penalty_value, penalty_norm = r.item(), torch.cat([e.flatten() for e in extra]).norm().item()
            previous = a.detach().sum(0)
            if case["reference"] == "example":
                for b, a_b in zip(batch, a.detach()):
                    last[b] = a_b
        norm = torch.cat([g.flatten() for g in gradients]).norm().item()
        scale = min(1.0, case["clip"] / norm) if case["clip"] else 1.0
        for parameter, g in zip(parameters, gradients):
            parameter.grad = g * scale
        optimizer.step()
        log.append([forget_loss.item(), retain_loss.item(), penalty_value, norm])
        ratios.append(penalty_norm / base_norm)
        probabilities.append(statistics.mean(p))
    final = torch.cat([parameter.detach().flatten() for parameter in parameters])
    return final, torch.tensor(log, dtype=torch.float64), ratios, probabilities


def with_lambda(case, start, forget, retain):
    """Sets the case's lambda so that the median of the ratios that are not 0 comes near 0.4."""
    case["lambda"] = 1e-2
    for _ in range(6):
        ratio = statistics.median(r for r in unlearn(case, start, forget, retain)[2] if r > 0)
        if 0.3 < ratio < 0.5:
            break
        case["lambda"] = float(f"{case['lambda'] * 0.4 / ratio:.1e}")


def make_case(name, method, optimizer="sgd", **settings):
    case = {"name": name, "model": "start", "method": method, "optimizer": optimizer, "momentum": 0.0, "weight_decay": 0.0,
            "clip": 0.0, "lr": 0.0, "lambda": 0.0, "granularity": None, "curvature": None, "reduction": None, "reference": None,
            "norm": None, "sites": None}
    case.update(settings)
    if case["granularity"] == "neuron" and case["sites"] is None:
        case["sites"] = all_sites
    if case["lr"] == 0:
        case["lr"] = 0.02 if optimizer == "sgd" else 0.002
    return case


def make_cases():
    first = {"granularity": "parameter", "curvature": "first", "reduction": "batch", "reference": "previous", "norm": "squared"}
    neuron = first | {"granularity": "neuron", "norm": "abs"}
    cases = [make_case(f"{method}_{optimizer}", method, optimizer, **(first if method == "ssiuu" else {}))
             for method in ["ga", "gd", "ssiuu"] for optimizer in ["sgd", "adamw"]]
    cases.append(make_case("gd_sgd_momentum", "gd", momentum=0.9, lr=0.005))
    cases.append(make_case("gd_adamw_decay_clip", "gd", "adamw", weight_decay=0.1, clip=1.0))
    cases.append(make_case("ssiuu_tied", "ssiuu", model="start_tied", **first))
    for granularity in ["parameter", "neuron"]:
        for reduction, reference in [("batch", "previous"), ("batch", "example"), ("batch", "original"), ("example", "example"),
                                     ("example", "original")]:
            for norm in ["squared", "abs"]:
                cases.append(make_case(f"exact_{granularity}_{reduction}_{reference}_{norm}", "ssiuu", granularity=granularity,
                                       curvature="exact", reduction=reduction, reference=reference, norm=norm))
    cases.append(make_case("first_neuron_batch_previous_abs", "ssiuu", **neuron))
    cases.append(make_case("exact_neuron_ffn_batch_previous_abs", "ssiuu",
                           **neuron | {"curvature": "exact", "sites": ["gate", "up", "down"]}))
    return cases


def make_sequences(random):
    result = []
    for _ in range(examples):
        question, answer = random.integers(3, 7), random.integers(1, 4)
        result.append((torch.from_numpy(random.integers(0, vocabulary, question + answer)), int(question)))
    return result


def fitted(tied, seed, forget, retain):
    """A model trained until the mean P_b of the forget set is 0.95, rounded through float32."""
    generator = torch.Generator().manual_seed(seed)
    w = {}
    for name, shape in shapes(tied).items():
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        w[name] = (1 + 0.1 * noise if len(shape) == 1 else 0.25 * noise).requires_grad_()
    optimizer = torch.optim.Adam(w.values(), lr=0.01)
    for _ in range(500):
        losses = [answer_nll(w, sequence, [])[0] for sequence in forget + retain]
        if sum(math.exp(-loss.item()) for loss in losses[:examples]) / examples >= 0.95:
            return {name: value.detach().float().double() for name, value in w.items()}
        optimizer.zero_grad()
        (sum(losses) / len(losses)).backward()
        optimizer.step()
    raise RuntimeError("the model did not learn the sequences")


def main():
    torch.set_num_threads(1)
    here = pathlib.Path(__file__).parent
    random = np.random.default_rng(11)
    forget, retain = make_sequences(random), make_sequences(random)
    data = {}
    for name, sequences in [("forget", forget), ("retain", retain)]:
        data[name + ".tokens"] = torch.cat([tokens for tokens, _ in sequences]).int()
        data[name + ".offsets"] = torch.tensor(np.cumsum([0] + [len(tokens) for tokens, _ in sequences])).int()
        data[name + ".answer_begin"] = torch.tensor([begin for _, begin in sequences]).int()
    save_file(data, here / "data.safetensors")
    starts = {"start": fitted(False, 1, forget, retain), "start_tied": fitted(True, 2, forget, retain)}
    for name, start in starts.items():
        save_file({key: value.float() for key, value in start.items()}, here / (name + ".safetensors"))
    cases, golden = make_cases(), {}
    for case in cases:
        start = starts[case["model"]]
        if case["method"] == "ssiuu":
            with_lambda(case, start, forget, retain)
        weights, log, ratios, probabilities = unlearn(case, start, forget, retain)
        golden[case["name"] + ".weights"] = weights.float()
        golden[case["name"] + ".log"] = log
        case["penalty_ratio"] = [round(r, 4) for r in ratios]
        print(f"{case['name']:42} lambda {case['lambda']:<8g} P", *(f"{p:.3f}" for p in probabilities), " ratio",
              *(f"{r:.2f}" for r in ratios), flush=True)
    save_file(golden, here / "golden.safetensors")
    (here / "index.json").write_text("[\n" + ",\n".join("  " + json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
