"""What all tests share."""

import pytest

STARTS_A_DEVICE = ("tests/cli/", "tests/engine/", "tests/models/", "tests/tables/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that start a device last: a fork does not take JAX's threads along."""
    items.sort(key=lambda item: item.nodeid.startswith(STARTS_A_DEVICE))
