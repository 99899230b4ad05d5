"""Llama in plain PyTorch without padding waste: a batch is the rows of all its tokens, and logits stand only at labels.

Only attention sees a padded copy, or a view where all sequences have one length; its causal kernel needs no mask, since padding is at the end.
Where examples share the rows of common beginnings, attention has all rows as one text and a mask.
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
    texts: int              # that attention sees, side by side
    longest: int
    ids: torch.Tensor       # [rows]
    position: torch.Tensor  # [rows], in its example
    owner: torch.Tensor     # [rows], its text
    place: torch.Tensor     # [rows], in the padded [texts * longest]
    sees: torch.Tensor      # [rows, rows], whether it attends to it, where there is one text of all; None: to what is before it in its text
    at: torch.Tensor        # [labels], the rows that predict a label
    labels: torch.Tensor    # [labels]
    whose: torch.Tensor     # [labels], its example
    lengths: torch.Tensor   # [examples], answer tokens


def pack(sequences, device="cpu", share=False):
    """Rows are of all tokens but the last of each example, or with `share` of each beginning that examples have once."""
    ids, position, owner, at, labels, whose, paths, before = [], [], [], [], [], [], {}, None
    for i in sorted(range(len(sequences)), key=lambda i: sequences[i][0]) if share else range(len(sequences)):
        tokens = sequences[i][0][:-1]  # the last token predicts nothing
        paths[i] = [] if before is None else paths[before][: len(os.path.commonprefix([tokens, sequences[before][0][:-1]]))]
        for token in tokens[len(paths[i]) :]:
            position.append(len(paths[i]))
            paths[i].append(len(ids))
            owner.append(0 if share else i)
            ids.append(token)
        before = i if share else None
    sees = torch.zeros(len(ids), len(ids), dtype=torch.bool, device=device) if share else None
    for i, (tokens, begin) in enumerate(sequences):
        at += paths[i][begin - 1 :]
        labels += tokens[begin:]
        whose += [i] * (len(tokens) - begin)
        for j, row in enumerate(paths[i] if share else []):
            sees[row, paths[i][: j + 1]] = True
    lengths = [len(tokens) - begin for tokens, begin in sequences]
    longest = len(ids) if share else max(position) + 1
    ids, position, owner, at, labels, whose, lengths = (torch.tensor(x, device=device) for x in (ids, position, owner, at, labels, whose, lengths))
    place = torch.arange(len(ids), device=device) if share else owner * longest + position
    return Batch(len(sequences), 1 if share else len(sequences), longest, ids, position, owner, place, sees, at, labels, whose, lengths)


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

    def gates(self, batch):
        """A gate of one on every output of every linear layer, one row a text."""
        return [torch.ones(batch.texts, self.parameters[f"model.layers.{i}.{name}.weight"].shape[0], device=self.frequency.device)
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

        even = len(batch.place) == batch.texts * batch.longest
        visible = {"is_causal": True} if batch.sees is None else {"attn_mask": batch.sees}

        def padded(x):
            out = x if even else x.new_zeros(batch.texts * batch.longest, *x.shape[1:]).index_copy(0, batch.place, x)
            return out.view(batch.texts, batch.longest, *x.shape[1:]).transpose(1, 2)

        x = F.embedding(batch.ids, p["model.embed_tokens.weight"])
        for i in range(c["num_hidden_layers"]):
            layer = f"model.layers.{i}."
            h = norm(x, layer + "input_layernorm")
            q, k, v = (linear(h, layer + name).unflatten(1, (-1, self.head)) for name in LINEAR[:3])
            y = attention(padded(rotate(q)), padded(rotate(k)), padded(v), **visible, enable_gqa=True)
            y = y.transpose(1, 2).reshape(-1, q.shape[1] * self.head)
            x = x + linear(y if even else y.index_select(0, batch.place), layer + LINEAR[3])
            h = norm(x, layer + "post_attention_layernorm")
            h = F.silu(linear(h, layer + LINEAR[4])) * linear(h, layer + LINEAR[5])
            x = x + linear(h, layer + LINEAR[6])
        h = norm(x.index_select(0, batch.at), "model.norm")
        nll = F.cross_entropy(F.linear(h, p["model.embed_tokens.weight"]), batch.labels, reduction="none")
        return nll.new_zeros(batch.examples).index_add(0, batch.whose, nll)
