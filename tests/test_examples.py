"""Every example runs from start to end, as a user would run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = {
    "classify_pictures.py": "in truth:",
    "classify_sentences.py": "positive (",
    "classify_rows.py": "read 569 = used 569 + rejected 0",
    "detect_digits.py": "found in 00001.jpg:",
    "follow_a_video.py": "the whole video:",
    "forecast_temperature.py": "better than the naive forecast by",
    "predict_a_number.py": "the same weights and log, bit for bit",
    "tag_sentences.py": "story because of: plot +",
    "start_from_a_run.py": "from the run   0.",
    "segment_clothes.py": "in the first picture: background",
    "stream_a_sensor.py": "the same answers",
    "write_a_text.py": "temperature 0.7: It is a truth universally",
    "translate_sentences.py": "seven hundred and fifty-two = siebenhundertzweiundfünfzig",
    "your_keras_model.py": "accuracy on the test examples: 0.8",
}


def test_every_example_is_tested():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(EXPECTED)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example_runs_and_says_what_it_should(name, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert EXPECTED[name] in done.stdout
