"""Which device computes, and JAX's settings: made once, before the first compilation.

JAX is there on every backend: where it does not train, it still computes learning rates and
changes of training pictures, on the host.
"""

import functools
import os
from typing import Any

from septet import backends
from septet.data import resources
from septet.engine.allocation import keep_freed_memory


@functools.cache
def start() -> str:
    """Prepare JAX and Keras; the platform in use ("cpu", "gpu", "tpu").

    Compiled programs are kept on disk in an owner-only folder, whatever their size or
    compilation time, unless the user has already chosen a cache.

    Raises:
        InputError: The chosen backend is none of ours.
        MissingPackageError: It is not installed.
    """
    import jax

    keep_freed_memory()
    backend = backends.choose()
    if backend != "jax" and not getattr(jax.config, "jax_platforms", None):
        # An accelerator's memory is for the backend that trains.
        jax.config.update("jax_platforms", "cpu")
    if "JAX_CPU_ENABLE_ASYNC_DISPATCH" not in os.environ:
        # Whoever starts a program waits for it anyway, and memory of the calling thread is kept.
        # It does nothing where JAX has been used before, as by a model that was built.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    # JAX makes this attribute at run time, unseen by type checkers.
    if getattr(jax.config, "jax_compilation_cache_dir", None) is None:
        folder = resources.owner_only(resources.cache_root() / "xla")
        if folder is not None:
            jax.config.update("jax_compilation_cache_dir", str(folder))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return jax.default_backend() if backend == "jax" else _platform_of(backend)


def _platform_of(backend: str) -> str:
    """Where TensorFlow or PyTorch computes: "gpu" or "cpu"."""
    return "gpu" if _accelerators_of(backend) else "cpu"


def _accelerators_of(backend: str) -> list[str]:
    """The accelerators that TensorFlow or PyTorch has, in words."""
    if backend == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    import tensorflow as tf  # pyright: ignore[reportMissingModuleSource, reportMissingImports]

    found = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(device) for device in found]
    return [str(each.get("device_name", "gpu")) for each in details]


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
    """What computes, for the receipt and the start of a run: backend, platform, kind, count."""
    import jax

    backend = backends.current()
    if backend == "jax":
        device = jax.devices()[0]
        return {
            "backend": backend,
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
        }
    names = _accelerators_of(backend)
    return {
        "backend": backend,
        "platform": "gpu" if names else "cpu",
        "kind": names[0] if names else "cpu",
        "count": max(len(names), 1),
    }
