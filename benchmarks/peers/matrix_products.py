"""How fast this accelerator multiplies large matrices: its name and FLOP/s by type, as JSON.

python matrix_products.py
"""

import json
import time

import jax
import jax.numpy as jnp

SIZE = 8192 if jax.default_backend() != "cpu" else 1024
REPEATS = 20


def flops_of(dtype):
    """Of the fastest of several products of random square matrices, operands of `dtype`."""
    keys = jax.random.split(jax.random.key(0))
    first, second = (jax.random.normal(key, (SIZE, SIZE), dtype) for key in keys)
    product = jax.jit(jnp.matmul)
    product(first, second).block_until_ready()
    fastest = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(REPEATS):
            result = product(first, second)
        result.block_until_ready()
        fastest = min(fastest, (time.perf_counter() - begin) / REPEATS)
    return 2 * SIZE**3 / fastest


if __name__ == "__main__":
    device = jax.devices()[0]
    found = {dtype: flops_of(dtype) for dtype in ("float32", "bfloat16")}
    print(json.dumps({"kind": device.device_kind, "platform": device.platform, "flops": found}))
