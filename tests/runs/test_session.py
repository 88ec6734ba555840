"""What reading settles before a run folder is made."""

import math

import numpy as np
import pytest

from septet import api
from septet.errors import DataError
from septet.runs.session import read, resolve_source


@pytest.fixture
def pictures(tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "pictures.npz"
    np.savez(
        path,
        x_train=random.integers(0, 256, (600, 6, 6), np.uint8),
        y_train=np.arange(600) % 2,
        x_test=random.integers(0, 256, (40, 6, 6), np.uint8),
        y_test=np.arange(40) % 2,
    )
    return path


def epochs_of(data, **training):
    material = read(api.resolve_config("image-classification", data, {"training": training}))
    return material.config.training.epochs, len(material.dataset.splits["train"])


def test_few_pictures_are_seen_more_often(pictures):
    assert epochs_of(pictures, batch_size=64)[0] == 60
    epochs, count = epochs_of(pictures, batch_size=16)
    assert epochs == math.ceil(1000 / math.ceil(count / 16))
    assert epochs in range(23, 60)
    assert epochs_of(pictures, batch_size=1)[0] == 22


def test_epochs_that_were_asked_for_are_kept(pictures):
    assert epochs_of(pictures, epochs=5)[0] == 5
    assert epochs_of(pictures, minutes=1.0)[0] is None
    assert epochs_of(pictures, minutes=1.0, epochs=7)[0] == 7


def test_sample_that_no_task_reads_says_what_it_is_for():
    with pytest.raises(DataError, match=r"a series for septet\.fit.*nyc-temperature\.csv"):
        resolve_source("tabular-regression", "nyc-temperature")


def test_too_little_to_learn_from_is_refused_with_a_remedy(pictures):
    config = api.resolve_config("image-classification", pictures, {"data": {"limit": 1}})
    with pytest.raises(DataError, match=r"cannot be trained on .*'labels'.*raise data\.limit"):
        read(config)
