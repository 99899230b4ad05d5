"""Golden values of single operations in float64, from PyTorch: pip install numpy safetensors torch transformers; python make.py

For every case y = f(x_0, x_1, ...), a tangent t_i for each input and the scalar s = <c, y> + <y, y> / 2, golden.safetensors holds
<case>.x.<i> inputs, <case>.t.<i> tangents, <case>.c [size of y], <case>.value y, <case>.jvp the derivative of y along t,
<case>.gradient.<i> ds/dx_i and <case>.hvp.<i> the Hessian of s times t; integer inputs are <case>.rows, .labels, .offsets, .positions.
The quadratic term gives operations that are linear a second derivative too."""
import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
random = torch.Generator().manual_seed(20)
golden = {}


def normal(*shape):
    return torch.randn(*shape, generator=random)


def case(name, f, *inputs, **integers):
    integers = {key: torch.tensor(value) for key, value in integers.items()}
    xs = [x.clone().requires_grad_() for x in inputs]
    ts = [normal(*x.shape) for x in inputs]
    y = f(*xs, **integers)
    c = normal(*y.shape)
    gradients = torch.autograd.grad((c * y).sum() + (y * y).sum() / 2, xs, create_graph=True)
    hvp = torch.autograd.grad(sum((g * t).sum() for g, t in zip(gradients, ts)), xs, materialize_grads=True, allow_unused=True)
    pull = c.clone().requires_grad_()  # J t as the derivative of u -> J^T u, for which every operation has the rule
    jt = torch.autograd.grad(torch.autograd.grad(f(*xs, **integers), xs, pull, create_graph=True), pull, ts)[0]
    out = {"c": c, "value": y, "jvp": jt} | {key: value.int() for key, value in integers.items()}
    for i in range(len(xs)):
        out |= {f"x.{i}": inputs[i], f"t.{i}": ts[i], f"gradient.{i}": gradients[i], f"hvp.{i}": hvp[i]}
    golden.update({f"{name}.{key}": value.detach().clone().contiguous() for key, value in out.items()})


def attention(q, k, v, offsets, heads, kv_heads):
    """Every example alone through PyTorch's own attention; heads share key-value heads in consecutive groups."""
    out = []
    for begin, end in zip(offsets[:-1], offsets[1:]):
        q_, k_, v_ = (x[begin:end].view(end - begin, n, -1).transpose(0, 1)[None] for x, n in ((q, heads), (k, kv_heads), (v, kv_heads)))
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            y = F.scaled_dot_product_attention(q_, k_, v_, is_causal=True, enable_gqa=heads != kv_heads)
        out.append(y[0].transpose(0, 1).reshape(end - begin, -1))
    return torch.cat(out)


def frequencies(dim, base, scaling=None):
    """As transformers computes them, but in float64."""
    f = base ** (-torch.arange(0, dim, 2) / dim)
    if scaling:
        factor, low, high, context = (scaling[key] for key in ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"))
        length = 2 * math.pi / f
        smooth = (context / length - low) / (high - low)
        f = torch.where(length > context / low, f / factor,
                        torch.where(length < context / high, f, (1 - smooth) * f / factor + smooth * f))
    return f


def rotary(x, positions, f):
    angle = positions[:, None] * f
    cos, sin = (torch.cat([g(angle)] * 2, -1)[None] for g in (torch.cos, torch.sin))
    heads = x.view(len(x), -1, 2 * len(f)).transpose(0, 1)[None]
    return apply_rotary_pos_emb(heads, heads, cos, sin)[0][0].transpose(0, 1).reshape(x.shape)


case("linear", lambda x, w: F.linear(x, w), normal(5, 7), normal(4, 7))
case("linear_bias", lambda x, w, b: F.linear(x, w, b), normal(5, 7), normal(4, 7), normal(4))
case("matmul", torch.matmul, normal(3, 6), normal(6, 5))
for name, f in {"relu": F.relu, "tanh": torch.tanh, "silu": F.silu, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
                "exp": torch.exp, "log_sigmoid": F.logsigmoid}.items():
    case(name, f, 2 * normal(3, 11))
    case(name + "_far", f, torch.tensor([[-40.0, -12.0, -6.0, -1e-9, 1e-9, 6.0, 12.0, 20.0]]))
case("log", torch.log, torch.exp(normal(3, 5)))
case("swiglu", lambda a, b: F.silu(a) * b, normal(3, 11), normal(3, 11))
case("add", lambda a, b: a + b, normal(3, 5), normal(3, 5))
case("subtract", lambda a, b: a - b, normal(3, 5), normal(3, 5))
case("multiply", lambda a, b: a * b, normal(3, 5), normal(3, 5))
case("affine", lambda x: 2.5 * x - 0.75, normal(3, 5))
case("used_twice", lambda a, w: a * F.linear(torch.tanh(a), w) + a, normal(3, 4), normal(4, 4))
case("gather", lambda x, rows: F.embedding(rows, x), normal(6, 4), rows=[2, 0, 2, 5, 2, 1, 0])
for name, shape in (("segment_sum", (6,)), ("segment_sum_rows", (6, 3))):
    case(name, lambda x, offsets: torch.stack([x[b:e].sum(0) for b, e in zip(offsets[:-1], offsets[1:])]), normal(*shape), offsets=[0, 1, 4, 4, 6])
case("sum", lambda x: x.sum().view(1, 1), normal(4, 5))
case("mean", lambda x: x.mean().view(1, 1), normal(4, 5))
case("rms_norm", lambda x, w: F.rms_norm(x, (9,), w, 1e-5), normal(4, 9), normal(9))
case("rms_norm_small", lambda x, w: F.rms_norm(x, (9,), w, 1e-2), 0.05 * normal(4, 9), normal(9))  # epsilon weighs in
case("layer_norm", lambda x, w, b: F.layer_norm(x, (9,), w, b, 1e-5), normal(4, 9), normal(9), normal(9))
case("layer_norm_small", lambda x, w, b: F.layer_norm(x, (9,), w, b, 1e-2), 0.05 * normal(4, 9) + 3, normal(9), normal(9))
for name, heads, kv_heads, dim, offsets in (("attention_grouped", 4, 2, 4, [0, 1, 6, 25]), ("attention_one_shared", 3, 1, 2, [0, 4, 11]),
                                            ("attention_plain", 2, 2, 3, [0, 7]), ("attention_long", 2, 1, 2, [0, 3, 150])):
    case(name, lambda q, k, v, offsets: attention(q, k, v, offsets, heads, kv_heads), normal(offsets[-1], heads * dim),
         normal(offsets[-1], kv_heads * dim), normal(offsets[-1], kv_heads * dim), offsets=offsets)
scaling = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=256, rope_theta=500000.0)
config = LlamaConfig(head_dim=16, max_position_embeddings=2048, rope_parameters=scaling)
scaled = frequencies(16, 500000.0, scaling)
theirs = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")[0].double()
assert ((scaled - theirs).abs() <= 1e-6 * theirs).all() and (scaled != frequencies(16, 500000.0)).any()
positions = [0, 1, 2, 3, 0, 1, 700, 2047]
case("rotary", lambda x, positions: rotary(x, positions, frequencies(4, 10000.0)), normal(8, 12), positions=positions)
case("rotary_llama3", lambda x, positions: rotary(x, positions, scaled), normal(8, 32), positions=positions)
case("cross_entropy", lambda x, labels: F.cross_entropy(x, labels.long(), reduction="none"), 2 * normal(4, 7), labels=[2, 0, 6, 6])
case("cross_entropy_smoothed", lambda x, labels: F.cross_entropy(x, labels.long(), reduction="none", label_smoothing=0.1), 2 * normal(4, 7), labels=[2, 0, 6, 6])
case("cross_entropy_far", lambda x, labels: F.cross_entropy(x, labels.long(), reduction="none"), 1000 + 30 * normal(3, 7), labels=[1, 4, 5])
case("log_softmax", lambda x: F.log_softmax(x, -1).flatten(), 2 * normal(1, 7))
case("label_positions", lambda x, w, rows, labels: F.cross_entropy(F.linear(x[rows], w), labels.long(), reduction="none"),
     normal(8, 5), normal(9, 5), rows=[1, 2, 6, 7], labels=[8, 3, 0, 3])
save_file(golden, pathlib.Path(__file__).with_name("golden.safetensors"))
