"""What all tests share."""

import pytest

STARTS_A_DEVICE = (
    "tests/cli/",
    "tests/engine/",
    "tests/models/",
    "tests/runs/test_model_folder.py",
    "tests/runs/test_training.py",
    "tests/tables/",
    "tests/vision/test_augmentation.py",
    "tests/vision/test_classification.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that start a device last: a fork does not take JAX's threads along."""
    items.sort(key=lambda item: item.nodeid.startswith(STARTS_A_DEVICE))
