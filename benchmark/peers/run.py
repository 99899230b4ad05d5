"""Runs expunge's benchmark and its PyTorch peers in turn (A B A B, a fresh process each) and writes a Markdown table of ratios.

    python run.py --model MODEL.gguf --facts FACTS.jsonl --benchmark BUILD/benchmark/unlearning_step --out TABLE.md
                  [--batch 8] [--repetitions 2] [--only NAME ...] [--work build/peers]
    python run.py ... --check        compares the values only, of one run each; PyTorch stops behind two steps
    python run.py ... --share        common beginnings of examples run once a step, in ours and in the hand-tuned scripts
    python run.py ... --device cuda [--products bf16] [--length 1024] [--shape llama-1b]       on a GPU: benchmark/gpu.sh

Every run's loss terms, penalty and gradient norms of the first two steps are compared with expunge's, and the sum of generated tokens;
exit status 1 where they differ by more than 1e-3 relative (1e-1 with products in bf16, tokens not at all in float), or where nothing was
compared. What has no room on the device is left out of the table and named. PyTorch gets as many threads as expunge takes, and keeps its
memory from step to step (MALLOC_...), as ours does; with --default-malloc large tensors go back to the system, as PyTorch comes, and cost
page faults in every step.
"""
import argparse
import datetime
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = {"float": 1e-3, "bf16": 1e-1}
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**62)}
NOTHING = 1e-6  # with random weights (--shape) P, and with it the penalty, is all but zero
# Of each peer: what it is, the script and its way, expunge's benchmark, the goals of time and memory.
PEERS = {
    "plain_eager": ("GD step, transformers, eager", "plain.py", "eager", "gradient_difference", 1.5, None),
    "plain_compile": ("GD step, transformers, torch.compile", "plain.py", "compile", "gradient_difference", 1.5, None),
    "tuned_eager": ("GD step, hand-tuned, eager", "tuned.py", "eager", "gradient_difference", 1.0, None),
    "tuned_compile": ("GD step, hand-tuned, torch.compile", "tuned.py", "compile", "gradient_difference", 1.0, None),
    "tuned_graphs": ("GD step, hand-tuned, torch.compile with CUDA graphs", "tuned.py", "graphs", "gradient_difference", 1.0, None),
    "double_backward": ("exact SSIUU per neuron, create_graph", "exact.py", "double_backward", "ssiuu_exact_neuron", 2.5, 2),
    "forward_over_reverse": ("exact SSIUU per neuron, torch.func jvp of grad", "exact.py", "forward_over_reverse", "ssiuu_exact_neuron", 2.5, 2),
    "first_order": ("SSIUU first order, hand-tuned", "first_order.py", "eager", "ssiuu_first_order_parameter", None, None),
    "plain_evaluation": ("multiple choice, transformers", "plain.py", "evaluation", "evaluation", 2, None),
    "tuned_evaluation": ("multiple choice, hand-tuned", "tuned.py", "evaluation", "evaluation", 2, None),
    "plain_generation": ("32 greedy tokens, transformers", "plain.py", "generation", "generation", None, None),
}


def say(*words):
    print(*words, file=sys.stderr, flush=True)


class NoRoom(Exception):
    pass


def output_of(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        if "OutOfMemoryError" in done.stderr:
            raise NoRoom
        say(done.stderr)
        sys.exit(f"run.py: exit status {done.returncode} of {shlex.join(command)}")
    return done.stdout


def ours(a, name):
    prefix = ("bfloat16_" if a.products == "bf16" else "") + ("shared_" if a.share and name not in ("evaluation", "generation") else "")
    text = output_of([a.benchmark, f"--benchmark_filter=^{prefix}{name}/", "--benchmark_format=json", a.model, a.facts, str(a.batch), a.device,
                      str(a.length), *(["graphs"] if a.graphs else [])])
    found = json.loads(text)["benchmarks"][0]
    if found.get("error_occurred"):
        if "has no room" in found["error_message"]:
            raise NoRoom
        sys.exit(f"run.py: {name}: {found['error_message']}")
    if a.graphs and not found["in_graphs"]:
        sys.exit(f"run.py: {name}: --graphs, and no operation was in a graph")
    return found


def theirs(a, name, weights, threads):
    _, script, way, *_ = PEERS[name]
    command = [sys.executable, os.path.join(HERE, script), "--way", way, "--weights", weights, "--facts", a.facts, "--batch", str(a.batch),
               "--threads", str(threads), "--device", a.device, "--products", a.products, "--length", str(a.length)]
    if a.share and script != "plain.py":
        command.append("--share")
    if a.check:
        command += ["--steps", "2"]
    environment = {**os.environ, **({} if a.default_malloc else KEEP_MEMORY), "TORCHINDUCTOR_CACHE_DIR": os.path.abspath(os.path.join(a.work, "inductor"))}
    return json.loads(output_of(command, env=environment).strip().splitlines()[-1])


def disagreements(a, name, mine, peer):
    out = []
    for key, value in peer["values"].items():
        error = abs(value - mine[key]) / max(abs(mine[key]), NOTHING if a.shape else 1e-30)
        say(f"  {key}: ours {mine[key]:.7g}, theirs {value:.7g}, relative difference {error:.1e}")
        tolerance = TOLERANCE[a.products]
        if key == "sum_of_ids":  # other tokens are other tokens, which rounding to bf16 may choose
            tolerance = 0 if a.products == "float" else math.inf
        if not error <= tolerance:
            out.append(f"{name}: {key} is {value:.7g}, ours {mine[key]:.7g}")
    return out


def processor():
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def ratio(pairs, key, digits):
    values = [peer[key] / mine[key] for mine, peer in pairs]
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def share(pairs, which):
    """Of the peak that ours measured, by what the weights' products of our step take: of useful work, also where PyTorch does more."""
    if "operations" not in pairs[0][0]:
        return ""
    return f"{statistics.median(pair[0]['operations'] / pair[0]['peak_operations_a_second'] / pair[which]['seconds'] for pair in pairs):.2f}"


def table(a, pairs, no_room):
    mine, peer = next(iter(pairs.values()))[0]
    versions = peer["versions"]
    lines = [
        f"{peer['device'] or processor()}, {os.cpu_count()} processors, {mine['threads']:.0f} threads; {', '.join(f'{k} {v}' for k, v in versions.items())}; "
        f"{datetime.date.today().isoformat()}; load average at the end {os.getloadavg()[1]:.1f} (of 5 minutes).",
        f"{os.path.basename(a.model)}, products {a.products}{', CUDA graphs' if a.graphs else ''}{', shared beginnings' if a.share else ''}, batch {a.batch}{f' of {a.length} tokens' if a.length else ''}, {a.repetitions} pairs; a time is the median of a run's steps, a figure the median of the runs, a ratio that of "
        "the pairs (least to most).", "", f"    python benchmark/peers/run.py {shlex.join(sys.argv[1:])}", "",
        "| figure | ours, s | PyTorch, s | time, PyTorch / ours | goal | ours, MiB | PyTorch, MiB | memory, PyTorch / ours | goal "
        "| ours, of the peak | PyTorch, of the peak |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, of_peer in pairs.items():
        what, _, _, _, time_goal, memory_goal = PEERS[name]
        cells = [what]
        for key, unit, digits, goal in (("seconds", 1, 2, time_goal), ("peak_bytes", 2**20, 0, memory_goal)):
            cells += [f"{statistics.median(pair[i][key] for pair in of_peer) / unit:.{digits}f}" for i in (0, 1)]
            cells += [ratio(of_peer, key, 2), f">= {goal}" if goal else ""]
        cells += [share(of_peer, 0), share(of_peer, 1)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"No room: {line}." for line in no_room)] if no_room else []
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    for name in ("--model", "--facts", "--benchmark", "--out"):
        parser.add_argument(name, required=name != "--out")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--threads", type=int, help="both run on so many processors; all that expunge would use where left out")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=[name for name in PEERS if name != "tuned_graphs"])
    parser.add_argument("--work", default="build/peers", help="keeps the dequantised weights and the compiler's cache")
    parser.add_argument("--default-malloc", action="store_true", help="PyTorch with the C library's own settings")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--products", choices=TOLERANCE, default="float")
    parser.add_argument("--graphs", action="store_true", help="ours with CUDA graphs")
    parser.add_argument("--share", action="store_true", help="ours and the hand-tuned scripts run common beginnings once a step")
    parser.add_argument("--length", type=int, default=0, help="tokens an example; 0: an example is a fact")
    parser.add_argument("--shape", help="random weights of this shape (prepare.py) with the model's tokenizer")
    a = parser.parse_args()
    if not a.check and not a.out:
        parser.error("--out is missing")
    if a.share and a.products != "float":
        parser.error("--share: with products in bf16 ours runs every row (decoder::share_beginnings)")
    if a.check:
        a.repetitions = 1
    if a.threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: a.threads])
    weights = os.path.join(a.work, a.shape or os.path.basename(a.model))
    if not os.path.exists(os.path.join(weights, "tokenizer.json")):
        say("writing", weights)
        output_of([sys.executable, os.path.join(HERE, "prepare.py"), a.model, weights, *([a.shape] if a.shape else [])])
    if a.shape:
        a.model = weights

    pairs, wrong, checked, no_room = {}, [], {}, {}
    for repetition in range(a.repetitions):
        for name in a.only:
            say(f"repetition {repetition + 1} of {a.repetitions}: {name}")
            benchmark = PEERS[name][3]
            of = "ours"
            try:
                mine = checked[benchmark] if a.check and benchmark in checked else ours(a, benchmark)
                checked[benchmark] = mine
                of = "PyTorch"
                peer = theirs(a, name, weights, int(mine["threads"]))
                wrong += disagreements(a, name, mine, peer)
                say(f"  ours {mine['seconds']:.2f} s, theirs {peer['seconds']:.2f} s")
                pairs.setdefault(name, []).append((mine, peer))
            except NoRoom:
                say(f"  no room: {of}")
                no_room[f"{PEERS[name][0]}, {of}"] = True
            if a.out and not a.check and pairs:
                with open(a.out, "w") as out:
                    out.write(table(a, pairs, no_room))
    for line in wrong:
        say("differs:", line)
    if not wrong and pairs:
        say(f"all values agree to {TOLERANCE[a.products]}")
    if not pairs:
        sys.exit("run.py: nothing was compared: no room for " + "; ".join(no_room))
    sys.exit(1 if wrong else 0)


main()
