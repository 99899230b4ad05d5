"""Writes types.gguf, one tensor of each supported type, and expected.safetensors, the same tensors dequantised by the
reference implementation: pip install gguf numpy safetensors."""
import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type, GGUFValueType, GGUFWriter, quants
from safetensors.numpy import save_file

here = pathlib.Path(__file__).parent
random = np.random.default_rng(7)
rows, columns = 3, 512
values = random.standard_normal((rows, columns)).astype("float32")


def random_blocks(type, scale_offsets):
    """Blocks of random bytes with half-precision scales of sane size at the given offsets."""
    elements, size = GGML_QUANT_SIZES[type]
    blocks = random.integers(0, 256, (rows * columns // elements, size), dtype="uint8")
    for offset in scale_offsets:
        scales = random.uniform(-0.1, 0.1, len(blocks)).astype("<f2")
        blocks[:, offset:offset + 2] = scales.view("uint8").reshape(-1, 2)
    return blocks.reshape(rows, -1)


writer = GGUFWriter(here / "types.gguf", "llama")
writer.add_custom_alignment(64)
for name, number in {"u8": 200, "i8": -100, "u16": 60000, "i16": -30000, "u32": 4_000_000_000, "i32": -2_000_000_000,
                     "u64": 2**63, "i64": -2**62, "f32": 0.5, "f64": 0.1}.items():
    full = {"u": "uint", "i": "int", "f": "float"}[name[0]] + name[1:]
    getattr(writer, "add_" + full)("test." + name, number)
writer.add_bool("test.yes", True)
writer.add_string("test.string", "grün")
writer.add_array("test.strings", ["a", "", "ĠĊ"])
writer.add_array("test.ints", [1, -2, 3])
writer.add_array("test.floats", [0.5, -1.25])
writer.add_key_value("test.bools", [True, False, True], GGUFValueType.ARRAY, GGUFValueType.BOOL)

expected = {}
for type in [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1]:
    stored = quants.quantize(values, type)
    expected[type.name] = quants.dequantize(stored, type)
    raw = None if type in (Type.F32, Type.F16) else type
    writer.add_tensor(type.name, stored, raw_dtype=raw)
for type, scales in {Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}.items():
    stored = random_blocks(type, scales)
    expected[type.name] = quants.dequantize(stored, type)
    writer.add_tensor(type.name, stored, raw_dtype=type)
for dtype in ["int8", "int16", "int32", "int64", "float64"]:
    stored = np.arange(-6, 6).reshape(2, 3, 2).astype(dtype)
    expected[dtype] = stored.astype("float32")
    writer.add_tensor(dtype, stored)
writer.add_tensor("unsupported", random_blocks(Type.Q2_K, [80, 82]), raw_dtype=Type.Q2_K)

writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
save_file(expected, here / "expected.safetensors")
