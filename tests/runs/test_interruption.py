"""The second signal stops at once, even where Python cannot raise."""

import gc
import signal
import time

import pytest

from septet.runs.interruption import stop_on_signal


def test_the_first_signal_asks_and_the_second_raises():
    with stop_on_signal() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_second_signal_within_a_callback_of_the_collector_is_not_lost(capfd):
    def collecting(phase: str, info: object) -> None:
        signal.raise_signal(signal.SIGINT)

    def wait_in_vain() -> None:
        gc.callbacks.append(collecting)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(collecting)
        time.sleep(5.0)

    with stop_on_signal() as stop:
        stop.requested = True
        with pytest.raises(KeyboardInterrupt):
            wait_in_vain()
    assert "Traceback" not in capfd.readouterr().err
