"""Writes every_type.safetensors with the reference implementation: pip install numpy safetensors."""
import pathlib

import numpy as np
from safetensors import TensorSpec, serialize_file

values = np.array([[0, 1, 2], [3, 4, 120]])
tensors = {code: values.astype(code) for code in
           ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"]}
tensors["bfloat16"] = (values.astype("float32").view("uint32") >> 16).astype("uint16")  # all values are exact
tensors["scalar"] = np.array(-1.5, dtype="float32")
tensors["empty"] = np.zeros((0, 3), dtype="float32")
tensors["naïve"] = np.arange(24, dtype="float32").reshape(1, 2, 3, 2, 2)


def spec(name, array):
    dtype = name if name == "bfloat16" else array.dtype.name
    return TensorSpec(dtype=dtype, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes)


serialize_file({name: spec(name, array) for name, array in tensors.items()},
               pathlib.Path(__file__).parent / "every_type.safetensors", metadata={"format": "np", "note": "ünïcode"})
