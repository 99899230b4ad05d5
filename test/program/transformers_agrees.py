"""Does Hugging Face transformers load a folder that expunge wrote, and find the same likelihoods in it?
pip install torch transformers; python transformers_agrees.py EXPUNGE FOLDER FACTS.jsonl [TEMPLATE]

Compares the mean NLL a token and the mean probability of the answers with `expunge evaluate`, tokenizing with the folder's tokenizer."""
import json
import math
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

program, folder, facts = sys.argv[1:4]
template = sys.argv[4] if len(sys.argv) > 4 else "Question: {question}\\nAnswer: "
ours = json.loads(subprocess.run([program, "evaluate", "--model", folder, "--facts", facts, "--template", template, "--json"],
                                 check=True, capture_output=True).stdout)
model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
tokenizer = AutoTokenizer.from_pretrained(folder)
assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
nlls, probabilities = [], []
for line in open(facts, encoding="utf-8"):
    fact = json.loads(line)
    prompt = template.replace("\\n", "\n").replace("{question}", fact["question"])
    encoded = tokenizer(prompt + fact["answer"], return_offsets_mapping=True)
    begin = next(i for i, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(prompt))  # the first token with a part of the answer
    ids = torch.tensor([encoded["input_ids"]])
    with torch.no_grad():
        scores = torch.log_softmax(model(ids).logits[0, begin - 1:-1].double(), -1)
    nll = -scores.gather(1, ids[0, begin:, None]).mean().item()
    nlls.append(nll)
    probabilities.append(math.exp(-nll))
theirs = {"mean_nll": sum(nlls) / len(nlls), "mean_probability": sum(probabilities) / len(probabilities)}
for key, value in theirs.items():
    print(f"{key}: transformers {value:.8g}, expunge {ours[key]:.8g}")
    assert abs(value - ours[key]) <= 1e-4 * max(1, abs(value)), "they differ"
print("agree:", len(nlls), "facts,", sum(p.numel() for p in model.parameters()), "parameters, tied:", model.config.tie_word_embeddings)
