"""Which device computes, and JAX's settings: made once, before the first compilation."""

import functools
import os
from typing import Any

from septet.data import resources
from septet.errors import InputError


@functools.cache
def start() -> str:
    """Prepare JAX and Keras; the platform in use ("cpu", "gpu", "tpu").

    Compiled programs are kept on disk in an owner-only folder, whatever their size or
    compilation time, unless the user has already chosen a cache.

    Raises:
        InputError: Keras runs on another backend than JAX.
    """
    import jax
    import keras

    if keras.backend.backend() != "jax":
        raise InputError(
            f"Keras runs on the '{keras.backend.backend()}' backend; Septet trains on 'jax'. "
            "Unset KERAS_BACKEND, or set it to 'jax'."
        )
    # JAX makes this attribute at run time, unseen by type checkers.
    if getattr(jax.config, "jax_compilation_cache_dir", None) is None:
        folder = resources.owner_only(resources.cache_root() / "xla")
        if folder is not None:
            jax.config.update("jax_compilation_cache_dir", str(folder))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return jax.default_backend()


def room_for_data() -> int:
    """Bytes of a data set that may lie on the device as a whole.

    Half of an accelerator's memory; on a CPU what `resources` says.
    """
    import jax

    memory = jax.local_devices()[0].memory_stats() or {}
    if jax.default_backend() != "cpu" and "bytes_limit" in memory:
        return int(memory["bytes_limit"]) // 2
    return resources.room_for_data()


def describe() -> dict[str, Any]:
    """The device in words, for the receipt and the start of a run."""
    import jax

    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "count": jax.device_count(),
        "cpu_cores": len(os.sched_getaffinity(0)),
    }
