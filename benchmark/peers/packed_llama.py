"""Llama in plain PyTorch without padding waste: a batch is the rows of all its tokens, and logits stand only at labels.

Only attention sees a padded copy, or a view where all sequences have one length; its causal kernel needs no mask, since padding is at the end.
"""
import json
import os
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

LINEAR = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


@dataclass
class Batch:
    examples: int
    longest: int
    ids: torch.Tensor      # [rows]
    position: torch.Tensor  # [rows], in its example
    owner: torch.Tensor    # [rows], its example
    place: torch.Tensor    # [rows], in the padded [examples * longest]
    at: torch.Tensor       # [labels], the rows that predict a label
    labels: torch.Tensor   # [labels]
    lengths: torch.Tensor  # [examples], answer tokens


def pack(sequences, device="cpu"):
    ids, position, owner, at, labels, lengths = [], [], [], [], [], []
    for i, (tokens, begin) in enumerate(sequences):
        labels += tokens[begin:]
        lengths.append(len(tokens) - begin)
        ids += tokens[:-1]  # the last token predicts nothing
        position += range(len(tokens) - 1)
        owner += [i] * (len(tokens) - 1)
        at += range(len(ids) - lengths[-1], len(ids))
    longest = max(position) + 1
    ids, position, owner, at, labels, lengths = (torch.tensor(x, device=device) for x in (ids, position, owner, at, labels, lengths))
    return Batch(len(sequences), longest, ids, position, owner, owner * longest + position, at, labels, lengths)


class PackedLlama:
    """`parameters` is a dict of tensors by their Hugging Face names; the embedding is tied. nll(parameters, batch) is a function of it."""

    def __init__(self, folder, device="cpu"):
        with open(os.path.join(folder, "config.json")) as file:
            self.config = json.load(file)
        self.parameters = {k: v.to(device, copy=True).requires_grad_()
                           for k, v in load_file(os.path.join(folder, "model.safetensors")).items()}
        c = self.config
        self.head = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
        theta = (c.get("rope_parameters") or c)["rope_theta"]
        self.frequency = theta ** (-torch.arange(0, self.head, 2, dtype=torch.float32, device=device) / self.head)

    def gates(self, examples):
        """A gate of one on every output of every linear layer, one row an example."""
        return [torch.ones(examples, self.parameters[f"model.layers.{i}.{name}.weight"].shape[0], device=self.frequency.device)
                for i in range(self.config["num_hidden_layers"]) for name in LINEAR]

    def nll(self, parameters, batch, gates=None, attention=F.scaled_dot_product_attention):
        """[examples], summed over the answer. `gates` multiply the outputs of the linear layers."""
        c, p = self.config, parameters
        gate = iter(gates) if gates is not None else None
        angle = batch.position[:, None] * self.frequency
        angle = torch.cat([angle, angle], 1)[:, None]
        cos, sin = angle.cos(), angle.sin()

        def linear(x, name):
            z = F.linear(x, p[name + ".weight"])
            return z if gate is None else z * next(gate).index_select(0, batch.owner)

        def norm(x, name):
            return F.rms_norm(x, (x.shape[-1],), p[name + ".weight"], c["rms_norm_eps"])

        def rotate(x):
            first, second = x.chunk(2, -1)
            return x * cos.to(x.dtype) + torch.cat([-second, first], -1) * sin.to(x.dtype)

        even = len(batch.place) == batch.examples * batch.longest

        def padded(x):
            out = x if even else x.new_zeros(batch.examples * batch.longest, *x.shape[1:]).index_copy(0, batch.place, x)
            return out.view(batch.examples, batch.longest, *x.shape[1:]).transpose(1, 2)

        x = F.embedding(batch.ids, p["model.embed_tokens.weight"])
        for i in range(c["num_hidden_layers"]):
            layer = f"model.layers.{i}."
            h = norm(x, layer + "input_layernorm")
            q, k, v = (linear(h, layer + name).unflatten(1, (-1, self.head)) for name in LINEAR[:3])
            y = attention(padded(rotate(q)), padded(rotate(k)), padded(v), is_causal=True, enable_gqa=True)
            y = y.transpose(1, 2).reshape(-1, q.shape[1] * self.head)
            x = x + linear(y if even else y.index_select(0, batch.place), layer + LINEAR[3])
            h = norm(x, layer + "post_attention_layernorm")
            h = F.silu(linear(h, layer + LINEAR[4])) * linear(h, layer + LINEAR[5])
            x = x + linear(h, layer + LINEAR[6])
        h = norm(x.index_select(0, batch.at), "model.norm")
        nll = F.cross_entropy(F.linear(h, p["model.embed_tokens.weight"]), batch.labels, reduction="none")
        return nll.new_zeros(batch.examples).index_add(0, batch.owner[batch.at], nll)
