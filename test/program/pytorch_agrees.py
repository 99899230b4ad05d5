"""Whole runs of the program expunge against PyTorch, written from the method's description and not from our code.
pip install torch transformers tokenizers safetensors; python pytorch_agrees.py EXPUNGE [WORK_FOLDER]

Fits tiny Llama, Qwen2 and GPT-2 models to a handful of facts, runs `expunge unlearn` under every setting and compares the written
weights with PyTorch's in double, relative to their largest entry and to how far they moved, and the log's lines; then what
`evaluate` and `audit` report. Some ten minutes. Exit status 1 where something differs."""
import itertools
import json
import pathlib
import shutil
import subprocess
import sys

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config)

program = str(pathlib.Path(sys.argv[1]).resolve())
work = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "pytorch_agrees")
template = "Question: {question}\nAnswer: "
names, towns = ["Ada", "Bo", "Cyrus", "Dee", "Eve", "Fay", "Gus", "Hal"], ["Oslo", "Rome", "Lima", "Kyiv", "New York", "Cork", "Fès", "Graz"]
facts = [{"id": f"f{i}", "question": f"Where does {n} live?", "answer": towns[i], "false_answers": [towns[(i + 1) % 8], towns[(i + 3) % 8]],
          "paraphrases": [f"{n} lives where?"]} for i, n in enumerate(names)]
forget, retain = facts[:3], facts[3:]
linear = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def make_model(kind, folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    texts = [template.replace("{question}", f["question"]) + a for f in facts for a in towns]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=340, special_tokens=["<|end|>"], show_progress=False,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    same = dict(vocab_size=len(fast), eos_token_id=0, bos_token_id=None)
    decoder = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                   max_position_embeddings=64, initializer_range=0.15, **same)
    config = {"llama": lambda: LlamaConfig(tie_word_embeddings=False, **decoder),
              "llama_tied": lambda: LlamaConfig(tie_word_embeddings=True, **decoder),
              "qwen2": lambda: Qwen2Config(tie_word_embeddings=False, **decoder),
              "gpt2": lambda: GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.15, resid_pdrop=0, embd_pdrop=0,
                                         attn_pdrop=0, **same)}[kind]()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(p, std=0.1)
    run = Run(model, fast, {})
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(400):
        loss = torch.stack([run.nll(run.encode(f)) for f in facts]).mean()
        if loss.item() < 0.05:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    print(f"{kind}: fitted in {step} steps to an NLL of {loss.item():.3f} a token")


class Run:
    """One unlearning run; `o` are the program's options, without the dashes."""

    def __init__(self, model, tokenizer, o):
        self.model, self.tokenizer, self.o = model, tokenizer, o
        self.parameters = list(model.parameters())  # a tied weight comes once

    def encode(self, fact, answer=None, eos=None):
        prompt = self.o.get("template", template).replace("\\n", "\n").replace("{question}", fact["question"])
        encoded = self.tokenizer(prompt + (answer or fact["answer"]), return_offsets_mapping=True)
        begin = next(i for i, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(prompt))
        return encoded["input_ids"] + [0] * (self.o.get("eos", False) if eos is None else eos), begin

    def answer_log_probabilities(self, example):
        ids, begin = torch.tensor([example[0]]), example[1]
        return torch.log_softmax(self.model(ids[:, :-1]).logits[0, begin - 1:], -1).gather(1, ids[0, begin:, None])[:, 0]

    def nll(self, example):
        return -self.answer_log_probabilities(example).mean()

    def attributions(self, example, exact):
        """One tensor a feature group: parameter x gradient, or the token sum of activation x gradient, of the joint probability."""
        outputs = []
        modules = [m for n, m in self.model.named_modules() if n.endswith(linear if self.o.get("sites") != "ffn" else linear[4:])]
        hooks = [m.register_forward_hook(lambda m, i, z: outputs.append(z)) for m in modules]
        p = self.answer_log_probabilities(example).sum().exp()
        for h in hooks:
            h.remove()
        if self.o.get("granularity") == "neuron":
            grads = torch.autograd.grad(p, outputs, create_graph=exact, retain_graph=True)
            return [(z * g).sum((0, 1)) for z, g in zip(outputs, grads)]
        grads = torch.autograd.grad(p, self.parameters, create_graph=exact)
        return [w * (g if exact else g.detach()) for w, g in zip(self.parameters, grads)]

    def penalty(self, ids, examples, state):
        o, exact = self.o, self.o.get("curvature") == "exact"
        norm = (lambda d: d.abs().sum()) if o.get("norm") == "abs" else (lambda d: (d * d).sum())
        a = [self.attributions(e, exact) for e in examples]
        total = [sum(f) for f in zip(*a)]
        mask = [(t < 0).to(t.dtype) for t in total]
        reference, by_example = o.get("reference", "previous"), o.get("reduction") == "example"
        out = torch.zeros(())
        if reference == "previous" and not by_example:
            if "total" in state:
                out = sum(norm(m * (t - before)) for m, t, before in zip(mask, total, state["total"]))
            state["total"] = [t.detach() for t in total]
            return out
        seen = state.setdefault("seen", {})
        known = [i for i, k in enumerate(ids) if k in seen]
        differences = [[m * (x - before) for m, x, before in zip(mask, a[i], seen[ids[i]])] for i in known]
        if reference == "original" and state.setdefault("first", True):
            state["first"], differences = False, []  # step 1 has no penalty
        if differences:
            out = sum(norm(d) for one in differences for d in one) if by_example else sum(norm(sum(d)) for d in zip(*differences))
        if reference != "original":
            if reference == "previous":
                seen.clear()
            seen.update({k: [x.detach() for x in a[i]] for i, k in enumerate(ids)})
        return out

    def __call__(self):
        o = self.o
        sets = {"forget": [self.encode(f) for f in forget], "retain": [self.encode(f) for f in retain]}
        state, log, moments = {}, [], [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.parameters]
        if o.get("reference") == "original":
            state["seen"] = {i: [x.detach() for x in self.attributions(e, False)] for i, e in enumerate(sets["forget"])}
        place = {"forget": 0, "retain": 0}
        for step in range(1, o["steps"] + 1):
            ids = {}
            for name, examples in sets.items():
                count = min(o["batch"], len(examples))
                ids[name] = [(place[name] + i) % len(examples) for i in range(count)]
                place[name] += count
            mean_nll = {name: torch.stack([self.nll(sets[name][i]) for i in ids[name]]).mean() for name in sets}
            terms = {"forget": -mean_nll["forget"]}
            if o["method"] != "ga":
                terms["retain"] = o.get("retain-weight", 1) * mean_nll["retain"]
            if o["method"] == "ssiuu":
                terms["penalty"] = o["lambda"] * self.penalty(ids["forget"], [sets["forget"][i] for i in ids["forget"]], state)
            base = torch.autograd.grad(terms["forget"] + terms.get("retain", 0), self.parameters)
            extra = [None] * len(base)
            if "penalty" in terms and terms["penalty"].requires_grad:
                extra = torch.autograd.grad(terms["penalty"], self.parameters, allow_unused=True)
            gradients = [b if e is None else b + e for b, e in zip(base, extra)]
            size = lambda gs: torch.sqrt(sum((g * g).sum() for g in gs if g is not None) + torch.zeros(())).item()
            log.append({k: v.item() for k, v in terms.items()} | {"step": step, "gradient_norm": size(gradients), "learning_rate": o["lr"],
                                                                 "share": size(extra) / size(base)})
            if "clip" in o:
                gradients = [g * min(1.0, o["clip"] / log[-1]["gradient_norm"]) for g in gradients]
            with torch.no_grad():
                for p, g, (m, v) in zip(self.parameters, gradients, moments):
                    if o["optimizer"] == "sgd":
                        p -= o["lr"] * (g + o.get("weight-decay", 0) * p)
                        continue
                    m.mul_(0.9).add_(g, alpha=0.1)
                    v.mul_(0.999).addcmul_(g, g, value=0.001)
                    p *= 1 - o["lr"] * o.get("weight-decay", 0)
                    p -= o["lr"] * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
        return log


def load(folder, dtype=torch.float32):
    model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"], report
    return model.eval()


def expunge(*arguments):
    return subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True, cwd=work).stdout


failures = 0


def check(what, error, limit):
    global failures
    failures += not error <= limit
    if not error <= limit:
        print(f"DIFFERS {what}: {error:.2e} > {limit:.0e}")


def compare_run(kind, **o):
    """The limit is 1e-5 (exact: 1e-4), or ten times the distance of PyTorch in float from PyTorch in double: AdamW divides
    gradients that are nothing but rounding by their own size."""
    o = {"lr": 1e-3, "steps": 10, "batch": 2} | o
    largest_share = lambda log: max(l["share"] for l in log)
    if o["method"] == "ssiuu":  # about half the base gradient: less would prove nothing, and a squared penalty that is too large diverges
        trial = lambda weight: largest_share(Run(load(work / kind), AutoTokenizer.from_pretrained(work / kind), o | {"lambda": weight})())
        o["lambda"] = float(f"{0.5e-6 / trial(1e-6):.0e}")
        while not trial(o["lambda"]) < 1.5:
            o["lambda"] /= 1.25
    title = kind + " " + " ".join(f"{k}={v}" for k, v in o.items())
    flags = [x for k, v in o.items() for x in (["--" + k] if v is True else ["--" + k, v])]
    shutil.rmtree(work / "out", ignore_errors=True)
    expunge("unlearn", "--model", kind, "--forget", "forget.jsonl", "--retain", "retain.jsonl", "--order", "given", "--out", "out", "--log", "log.jsonl", *flags)
    run, single = (Run(load(work / kind, t), AutoTokenizer.from_pretrained(work / kind), o) for t in (torch.float64, torch.float32))
    start = {n: p.detach().clone() for n, p in run.model.named_parameters()}
    log, single_log = run(), single()
    theirs = dict(run.model.named_parameters())
    largest = lambda of, scale: max((theirs[n] - p).abs().max().item() / max(scale(n).abs().max().item(), 1e-12) for n, p in of.named_parameters())
    ours = load(work / "out")
    weights, moved = largest(ours, lambda n: theirs[n]), largest(ours, lambda n: theirs[n] - start[n])
    noise, noise_moved = largest(single.model, lambda n: theirs[n]), largest(single.model, lambda n: theirs[n] - start[n])
    limit = max(1e-4 if o.get("curvature") == "exact" else 1e-5, 10 * noise)
    check(title + ": weights", weights, limit)
    lines = [json.loads(line) for line in open(work / "log.jsonl")]
    check(title + ": log lines", abs(len(lines) - len(log)), 0)
    # A penalty near its largest stable lambda, or |d| where differences change sign, amplifies what float rounds away: 1 %.
    error = lambda a, b, key: abs(a[key] - b[key]) / max(abs(b["forget"]), abs(b.get("penalty", 0)), abs(b[key]))
    log_noise = max(error(a, b, key) for a, b in zip(single_log, log) for key in b.keys() - {"share"})
    for a, b in zip(lines, log):
        for key in b.keys() - {"share"}:
            check(f"{title}: step {a['step']}, {key} {a[key]} {b[key]}", error(a, b, key), max(1e-2 if o["method"] == "ssiuu" else 10 * limit, 10 * log_noise))
    share = largest_share(log)
    check(title + ": the penalty's share", -share if o["method"] == "ssiuu" else -1, -0.1)
    print(f"{title}: weights {weights:.1e} (PyTorch in float {noise:.1e}), of the way {moved:.1e} ({noise_moved:.1e}), penalty/base gradient {share:.2f}", flush=True)
    keys = set(load_file(work / "out/model.safetensors"))
    check(title + ": tensors", len(keys ^ set(load_file(work / kind / "model.safetensors"))), 0)


def compare_reports(kind):
    expunge("unlearn", "--model", kind, "--forget", "forget.jsonl", "--retain", "retain.jsonl", "--method", "gd", "--steps", 10, "--lr", 2e-3, "--out", "after")
    tokenizer = AutoTokenizer.from_pretrained(work / kind)
    runs = [Run(load(work / f, torch.float64), tokenizer, {}) for f in (kind, "after")]
    for folder, run in zip((kind, "after"), runs):
        ours = json.loads(expunge("evaluate", "--model", folder, "--facts", "forget.jsonl", "--json"))
        with torch.no_grad():
            logs = [run.answer_log_probabilities(run.encode(f)) for f in forget]
            chosen = [all(run.nll(run.encode(f)) < run.nll(run.encode(f, w)) for w in f["false_answers"]) for f in forget]
            generated = []
            for f in forget:
                ids, begin = run.encode(f)
                out = run.model.generate(torch.tensor([ids[:begin]]), max_new_tokens=len(ids) - begin, do_sample=False, pad_token_id=0, eos_token_id=None)
                generated.append(out[0].tolist() == ids)
        theirs = {"facts": len(forget), "multiple_choice_accuracy": sum(chosen) / len(chosen), "generation_accuracy": sum(generated) / len(generated),
                  "mean_probability": torch.stack([l.mean().exp() for l in logs]).mean().item(),
                  "mean_joint_probability": torch.stack([l.sum().exp() for l in logs]).mean().item(), "mean_nll": -torch.stack([l.mean() for l in logs]).mean().item()}
        for key, value in theirs.items():
            check(f"{kind}: evaluate {folder}, {key}", abs(ours[key] - value), 1e-5 * max(1, abs(value)))
    expunge("audit", "--before", kind, "--after", "after", "--forget", "forget.jsonl", "--json", "audit.json")
    audit = json.load(open(work / "audit.json"))
    for key, of in (("probability", torch.exp), ("log_probability", lambda x: x)):
        extremes = []
        for run in runs:
            extremes.append([])
            for f in forget:
                outputs, modules = [], [m for n, m in run.model.named_modules() if n.endswith(linear)]
                hooks = [m.register_forward_hook(lambda m, i, z: outputs.append(z)) for m in modules]
                value = of(run.answer_log_probabilities(run.encode(f)).sum())
                for h in hooks:
                    h.remove()
                a = [(z * g)[0].detach() for z, g in zip(outputs, torch.autograd.grad(value, outputs))]
                extremes[-1].append([(x.max(0).values, x.min(0).values) for x in a])
        sites = range(len(extremes[0][0]))
        d_plus = [sum(b[s][0] - a[s][0].clamp(min=0) for b, a in zip(*extremes)).div(len(forget)).clamp(min=0) for s in sites]
        d_minus = [sum(b[s][1] - a[s][1] for b, a in zip(*extremes)).div(len(forget)).clamp(min=0) for s in sites]
        for name, d in (("d_plus", d_plus), ("d_minus", d_minus)):
            ranked = torch.cat(d).sort(descending=True).values
            sums = ranked.cumsum(0)
            near = lambda what, mine, theirs: check(f"{kind}: audit {key} {name} {what} {mine} {float(theirs)}", abs(mine - float(theirs)), 2e-5 * float(sums[-1]) + 1e-9)
            near("sum", audit[key][name + "_sum"], sums[-1])
            for m in (10, 100, 1000):
                near(f"top {m}", audit[key]["top"][str(m)][name], sums[min(m, len(sums)) - 1])
            for m, total in zip(audit[key]["cumulative"][name]["m"], audit[key]["cumulative"][name]["sum"], strict=True):
                near(f"cumulative {m}", total, sums[m - 1])
            for mine in audit[key]["sites"]:
                theirs = d[7 * mine["layer"] + [n.split("_")[0] for n in linear].index(mine["module"])]
                near(f"{mine['layer']} {mine['module']}", mine[name], theirs.sort(descending=True).values[:100].mean())
    print(f"{kind}: evaluate and audit compared, {audit['probability']['neurons']} neurons, sites {[(s['layer'], s['module']) for s in audit['probability']['sites']][:7]}")


work.mkdir(exist_ok=True)
for name, chosen in (("forget", forget), ("retain", retain)):
    (work / (name + ".jsonl")).write_text("".join(json.dumps(f, ensure_ascii=False) + "\n" for f in chosen), encoding="utf-8")
for kind in ("llama", "llama_tied", "qwen2", "gpt2"):
    if not (work / kind).exists():
        make_model(kind, work / kind)
    for method, optimizer in itertools.product(("ga", "gd"), ("sgd", "adamw")):
        compare_run(kind, method=method, optimizer=optimizer)
    if kind == "gpt2":
        continue
    for optimizer, curvature, granularity in itertools.product(("sgd", "adamw"), ("first", "exact"), ("parameter", "neuron")):
        compare_run(kind, method="ssiuu", optimizer=optimizer, curvature=curvature, granularity=granularity)
    compare_reports(kind)
    if kind == "qwen2":
        continue
    for curvature, granularity, reduction, reference, norm in itertools.product(
            ("first", "exact"), ("parameter", "neuron"), ("batch", "example"), ("previous", "example", "original"), ("squared", "abs")):
        compare_run(kind, method="ssiuu", optimizer="sgd", curvature=curvature, granularity=granularity, reduction=reduction, reference=reference, norm=norm,
                    batch=3 if reference == "previous" and reduction == "example" else 2)
    for extra in ({"retain-weight": 3}, {"weight-decay": 0.1}, {"clip": 0.5}, {"eos": True}, {"template": "Q {question} A "}, {"batch": 8}):
        for optimizer in ("sgd", "adamw"):
            compare_run(kind, method="ssiuu", optimizer=optimizer, **extra)
sys.exit(failures > 0)
