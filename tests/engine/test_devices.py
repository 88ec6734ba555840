"""What is asked of JAX before it starts."""

import os
import subprocess
import sys

import pytest

ASKED = """
from septet.engine import devices
devices.start()
import jax
print(jax.config.values["jax_cpu_enable_async_dispatch"])
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "False"), ("true", "True")])
def test_programs_run_in_the_thread_that_asks_unless_the_user_says_otherwise(given, expected):
    name = "JAX_CPU_ENABLE_ASYNC_DISPATCH"
    environment = {key: value for key, value in os.environ.items() if key != name}
    if given is not None:
        environment[name] = given
    done = subprocess.run(
        [sys.executable, "-c", ASKED], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
