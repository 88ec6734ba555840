"""What all tests share."""

import pytest

import septet  # noqa: F401  # names Keras' backend before a test imports Keras

LONGEST = "tests/runs/test_kill_points.py"
STARTS_A_DEVICE = (
    "tests/cli/",
    "tests/engine/",
    "tests/fitting/",
    "tests/inspection/",
    "tests/models/",
    "tests/runs/test_model_folder.py",
    "tests/runs/test_training.py",
    "tests/language/test_encoder_folder.py",
    "tests/language/test_explaining.py",
    "tests/language/test_gpt2_folder.py",
    "tests/language/test_keras_hub_folder.py",
    "tests/language/test_text_generation.py",
    "tests/language/test_text_tasks.py",
    "tests/language/test_translation.py",
    "tests/tables/",
    "tests/test_algorithms.py",
    "tests/vision/test_augmentation.py",
    "tests/vision/test_classification.py",
    "tests/vision/test_detecting.py",
    "tests/vision/test_detection.py",
    "tests/vision/test_moving.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first; last those that start a device, whose threads no fork takes along."""
    items.sort(key=lambda item: place(item.nodeid))


def place(nodeid: str) -> int:
    """Where a test comes: 0 before 1 before 2."""
    return 0 if nodeid.startswith(LONGEST) else 1 + nodeid.startswith(STARTS_A_DEVICE)
