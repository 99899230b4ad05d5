"""Runs expunge's benchmark and its PyTorch peers in turn (A B A B, a fresh process each) and writes a Markdown table of ratios.

    python run.py --model MODEL.gguf --facts FACTS.jsonl --benchmark BUILD/benchmark/unlearning_step --out TABLE.md
                  [--batch 8] [--repetitions 2] [--only NAME ...] [--work build/peers]
    python run.py ... --check        runs two steps of each and compares the values only

Every run's loss terms, penalty and gradient norms of the first two steps are compared with expunge's; exit status 1 where they
differ by more than 1e-3 relative.
"""
import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 1e-3
# Of each peer: what it is, the script and its way, expunge's benchmark, the goals of time and memory.
PEERS = {
    "plain_eager": ("GD step, transformers, eager", "plain.py", "eager", "gradient_difference", 1.5, None),
    "plain_compile": ("GD step, transformers, torch.compile", "plain.py", "compile", "gradient_difference", 1.5, None),
    "tuned_eager": ("GD step, hand-tuned, eager", "tuned.py", "eager", "gradient_difference", 1.0, None),
    "tuned_compile": ("GD step, hand-tuned, torch.compile", "tuned.py", "compile", "gradient_difference", 1.0, None),
    "double_backward": ("exact SSIUU per neuron, create_graph", "exact.py", "double_backward", "ssiuu_exact_neuron", 2.5, 2),
    "forward_over_reverse": ("exact SSIUU per neuron, torch.func jvp of grad", "exact.py", "forward_over_reverse", "ssiuu_exact_neuron", 2.5, 2),
    "plain_evaluation": ("multiple choice, transformers", "plain.py", "evaluation", "evaluation", 2, None),
    "tuned_evaluation": ("multiple choice, hand-tuned", "tuned.py", "evaluation", "evaluation", 2, None),
    "plain_generation": ("32 greedy tokens, transformers", "plain.py", "generation", "generation", None, None),
}


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def output_of(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"run.py: exit status {done.returncode} of {shlex.join(command)}")
    return done.stdout


def ours(a, name):
    environment = {**os.environ, "OMP_NUM_THREADS": str(a.threads)}
    text = output_of([a.benchmark, f"--benchmark_filter=^{name}/", "--benchmark_format=json", a.model, a.facts, str(a.batch)],
                     env=environment, stderr=subprocess.DEVNULL)
    return json.loads(text)["benchmarks"][0]


def theirs(a, name, weights):
    _, script, way, *_ = PEERS[name]
    command = [sys.executable, os.path.join(HERE, script), "--way", way, "--weights", weights, "--facts", a.facts, "--batch", str(a.batch),
               "--threads", str(a.threads)]
    if a.check:
        command += ["--steps", "2"]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": os.path.abspath(os.path.join(a.work, "inductor"))}
    return json.loads(output_of(command, env=environment).strip().splitlines()[-1])


def disagreements(name, mine, peer):
    out = []
    for key, value in peer["values"].items():
        error = abs(value - mine[key]) / max(abs(mine[key]), 1e-30) if value != mine[key] else 0
        say(f"  {key}: ours {mine[key]:.7g}, theirs {value:.7g}, relative difference {error:.1e}")
        if not error <= TOLERANCE:
            out.append(f"{name}: {key} is {value:.7g}, ours {mine[key]:.7g}")
    return out


def processor():
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def ratio(pairs, key, digits):
    values = [peer[key] / mine[key] for mine, peer in pairs]
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(a, pairs):
    versions = next(iter(pairs.values()))[0][1]["versions"]
    lines = [
        f"{processor()}, {os.cpu_count()} processors, {a.threads} threads; {', '.join(f'{k} {v}' for k, v in versions.items())}; "
        f"{datetime.date.today().isoformat()}; load average at the end {os.getloadavg()[1]:.1f} (of 5 minutes).",
        f"Batch {a.batch}, {a.repetitions} pairs; a time is the median of a run's steps, a figure the median of the runs, a ratio that of "
        "the pairs (least to most).", "", f"    python benchmark/peers/run.py {shlex.join(sys.argv[1:])}", "",
        "| figure | ours, s | PyTorch, s | time, PyTorch / ours | goal | ours, MiB | PyTorch, MiB | memory, PyTorch / ours | goal |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, of_peer in pairs.items():
        what, _, _, _, time_goal, memory_goal = PEERS[name]
        cells = [what]
        for key, unit, digits, goal in (("seconds", 1, 2, time_goal), ("peak_bytes", 2**20, 0, memory_goal)):
            cells += [f"{statistics.median(pair[i][key] for pair in of_peer) / unit:.{digits}f}" for i in (0, 1)]
            cells += [ratio(of_peer, key, 2), f">= {goal}" if goal else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    for name in ("--model", "--facts", "--benchmark", "--out"):
        parser.add_argument(name, required=name != "--out")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch; expunge uses as many as the machine has processors")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--work", default="build/peers", help="keeps the dequantised weights and the compiler's cache")
    parser.add_argument("--check", action="store_true")
    a = parser.parse_args()
    if not a.check and not a.out:
        parser.error("--out is missing")
    if a.check:
        a.repetitions = 1
    weights = os.path.join(a.work, "weights")
    if not os.path.exists(os.path.join(weights, "tokenizer.json")):
        say("dequantising", a.model)
        output_of([sys.executable, os.path.join(HERE, "prepare.py"), a.model, weights])

    pairs, wrong, checked = {}, [], {}
    for repetition in range(a.repetitions):
        for name in a.only:
            say(f"repetition {repetition + 1} of {a.repetitions}: {name}")
            benchmark = PEERS[name][3]
            mine = checked[benchmark] if a.check and benchmark in checked else ours(a, benchmark)
            checked[benchmark] = mine
            peer = theirs(a, name, weights)
            wrong += disagreements(name, mine, peer)
            say(f"  ours {mine['seconds']:.2f} s, theirs {peer['seconds']:.2f} s")
            pairs.setdefault(name, []).append((mine, peer))
            if a.out and not a.check:
                with open(a.out, "w") as out:
                    out.write(table(a, pairs))
    for line in wrong:
        say("differs:", line)
    if not wrong:
        say(f"all values agree to {TOLERANCE}")
    sys.exit(1 if wrong else 0)


main()
