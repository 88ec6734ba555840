"""How fast are large matrix products in XLA, and as C that XLA calls?

    python benchmarks/products.py

Products a b, a b^T and a^T b of float32 in one compiled loop each, CPU: by XLA, by C with numbers
as they are, and by C with numbers split into bfloat16 halves where the processor has tiles of those
(AMX). The median of several loops, GFLOP/s. The last line is JSON.
"""

import argparse
import json
import math
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from processes import machine

from septet.engine.native import multiply

SIZES = [(2048, 384, 1536), (2048, 1536, 384), (2048, 384, 384)]
BY_XLA = {
    multiply.PLAIN: lambda a, b: a @ b,
    multiply.RIGHT: lambda a, b: a @ b.T,
    multiply.LEFT: lambda a, b: a.T @ b,
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--products", type=int, default=20, help="in each timed loop")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def seconds(product, a, b, options: argparse.Namespace) -> float:
    """Of one product within a loop that writes to the same memory each time."""
    shape = jax.eval_shape(product, a, b).shape

    @jax.jit
    def loop(a, b):
        def once(_, before):
            # One number comes from the product before, so that none is left out.
            return product(a.at[0, 0].set(before[0, 0] * 0), b)

        return lax.fori_loop(0, options.products, once, jnp.zeros(shape, jnp.float32))

    loop(a, b).block_until_ready()
    found = []
    for _ in range(options.repeats):
        begin = time.perf_counter()
        loop(a, b).block_until_ready()
        found.append((time.perf_counter() - begin) / options.products)
    return statistics.median(found)


def main() -> None:
    options = parse()
    ways = {"xla": BY_XLA, "as they are": multiply.programs(False)}
    if multiply.splits():
        ways["split"] = multiply.programs(True)
    random, rows = np.random.default_rng(0), []
    for size in SIZES:
        a, b, g = (
            jnp.asarray(random.normal(size=(size[i], size[j])), jnp.float32)
            for i, j in ((0, 1), (1, 2), (0, 2))
        )
        given = {multiply.PLAIN: (a, b), multiply.RIGHT: (g, b), multiply.LEFT: (a, g)}
        for name, sides in given.items():
            speeds = {
                way: round(2e-9 * math.prod(size) / seconds(programs[name], *sides, options), 1)
                for way, programs in ways.items()
            }
            rows.append({"size": size, "product": name, "gflops": speeds})
            print(f"{size!s:<20}{name:<24}{speeds}")
    print(json.dumps({"benchmark": "products", "machine": machine(), "products": rows}))


if __name__ == "__main__":
    main()
