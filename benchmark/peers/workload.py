"""What every peer shares: the facts as token sequences, GD's two batches, the timed steps, and the one JSON line.

--products bf16 is autocast: products of operands rounded to bf16, weights and gradients in float."""
import argparse
import json
import os
import resource
import statistics
import sys
import time

import torch
import transformers

TEMPLATE = "Question: {question}\nAnswer: "
LAMBDA, LEARNING_RATE = 1e-2, 1e-5  # those of benchmark/unlearning_step.cpp
WARM_UP, STEPS, PASSES, NEW_TOKENS = 2, 7, 4, 32


def arguments(*ways):
    """--way is one of `ways`; the other options are the same for every peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=ways, required=True)
    parser.add_argument("--weights", required=True, help="the folder that prepare.py wrote")
    parser.add_argument("--facts", required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--products", choices=("float", "bf16"), default="float")
    parser.add_argument("--share", action="store_true", help="examples share the rows of common beginnings")
    parser.add_argument("--length", type=int, default=0, help="tokens an example, all of them answer; 0: an example is a fact")
    chosen = parser.parse_args()
    if chosen.device != "cpu" and not torch.cuda.is_available():
        parser.error(f"--device {chosen.device}: PyTorch finds no CUDA device here")
    torch.set_num_threads(chosen.threads)
    if chosen.device != "cpu":
        torch.cuda.set_device(torch.device(chosen.device).index or 0)  # waiting and peak memory are of the current device
    return chosen


def precision(a):
    return torch.autocast(torch.device(a.device).type, torch.bfloat16, enabled=a.products == "bf16")


def wait(a):
    if a.device != "cpu":
        torch.cuda.synchronize()


def forget_peak():
    """Peak memory is from here on, as ours: what loading took is over."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def encode(tokenizer, question, answer):
    """(tokens, first answer token): prompt and answer are encoded as one text, as expunge does."""
    prompt = TEMPLATE.replace("{question}", question)
    encoded = tokenizer(prompt + answer, add_special_tokens=False, return_offsets_mapping=True)
    begin = next(i for i, (_, end) in enumerate(encoded.offset_mapping) if end > len(prompt))
    return encoded.input_ids, begin


def read_facts(a, count=None):
    with open(a.facts) as lines:
        return [json.loads(line) for line in lines][:count]


def batches(a, tokenizer):
    """The forget and the retain batch: the first two times `--batch` facts, or as many pieces of all facts' text, end to end."""
    if a.length:
        text = [token for f in read_facts(a) for token in encode(tokenizer, f["question"], f["answer"])[0]]
        sequences = [([text[(i * a.length + j) % len(text)] for j in range(a.length)], 1) for i in range(2 * a.batch)]
    else:
        sequences = [encode(tokenizer, f["question"], f["answer"]) for f in read_facts(a, 2 * a.batch)]
    return sequences[: a.batch], sequences[a.batch :]


def choices(a, tokenizer):
    """For each of the first two times `--batch` facts the sequences of its right answer and of each false one."""
    return [[encode(tokenizer, f["question"], x) for x in [f["answer"], *f["false_answers"]]] for f in read_facts(a, 2 * a.batch)]


def gradient_norm(parameters):
    return float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))


def run_steps(a, name, parameters, optimizer, gradients):
    """`gradients()` fills .grad and returns the terms by name; a step is that and the update. The first steps warm up, and
    only they compute the gradient norm, which every step of ours does."""
    seconds, values = [], {}
    forget_peak()
    for step in range(1, a.steps + 1):
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with precision(a):
            terms = {k: float(v) for k, v in gradients().items()}  # waits for the device here, as ours does: not for the update
        if step <= WARM_UP:
            values |= {f"{k}_{step}": v for k, v in (terms | {"gradient_norm": gradient_norm(parameters)}).items()}
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
        print(f"{name}: step {step} of {a.steps}, {seconds[-1]:.2f} s", file=sys.stderr)
    finish(a, name, seconds[WARM_UP:] or seconds, values)


def run_evaluation(a, name, tokenizer, nll_of):
    """`nll_of(sequences)` gives each sequence's NLL summed over its answer; 32 at a time, the first pass left out."""
    questions = choices(a, tokenizer)
    every = [s for q in questions for s in q]
    seconds, right = [], 0
    forget_peak()
    with torch.inference_mode(), precision(a):
        for _ in range(PASSES):
            begin = time.perf_counter()
            nll = [x for i in range(0, len(every), 32) for x in nll_of(every[i : i + 32]).tolist()]
            per_token = iter([x / (len(tokens) - first) for x, (tokens, first) in zip(nll, every)])
            right = sum(min(options := [next(per_token) for _ in q]) == options[0] for q in questions)
            seconds.append(time.perf_counter() - begin)
            print(f"{name}: pass {len(seconds)} of {PASSES}, {seconds[-1]:.2f} s", file=sys.stderr)
    finish(a, name, seconds[1:], {"accuracy": right / len(questions), "nll": sum(nll)})


def run_generation(a, name, tokenizer, continued):
    """`continued(prompts)` gives the greedy tokens of all questions, [prompts, NEW_TOKENS]; the first pass is left out."""
    prompts = [tokens[:first] for (tokens, first), *_ in choices(a, tokenizer)]
    seconds = []
    forget_peak()
    with torch.inference_mode(), precision(a):
        for _ in range(PASSES):
            begin = time.perf_counter()
            made = continued(prompts)
            wait(a)
            seconds.append(time.perf_counter() - begin)
            print(f"{name}: pass {len(seconds)} of {PASSES}, {seconds[-1]:.2f} s", file=sys.stderr)
    finish(a, name, seconds[1:], {"sum_of_ids": float(made.sum())})


def finish(a, name, seconds, values):
    cuda = a.device != "cpu"
    print(json.dumps({
        "name": name, "seconds": statistics.median(seconds),
        "peak_bytes": torch.cuda.max_memory_allocated() if cuda else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "device": torch.cuda.get_device_name() if cuda else "", "batch": a.batch, "threads": a.threads, "values": values,
        "versions": {"python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__},
    }), flush=True)
    sys.stderr.flush()
    os._exit(0)  # the compiler's workers need not be waited for
