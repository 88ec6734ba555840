"""Messages about settings: the name as it was typed, what came, what was expected."""

from typing import Any

import pytest

from septet.config import Options, TrainingOptions, parse_settings, validate
from septet.errors import ConfigError
from septet.tables.options import TableDataOptions
from septet.vision.options import ImageDataOptions, ImageModelOptions


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        (
            TrainingOptions,
            "epochs",
            0,
            "is 0: it should be greater than or equal to 1, or it should be 'auto'.",
        ),
        (
            TrainingOptions,
            "epochs",
            2.5,
            "is 2.5: it should be a valid integer, got a number with a fractional part, "
            "or it should be 'auto'.",
        ),
        (TrainingOptions, "epochs", True, "is true: it is not a yes-or-no setting."),
        (TrainingOptions, "batch_size", False, "is false: it is not a yes-or-no setting."),
        (ImageDataOptions, "channels", True, "is true: it is not a yes-or-no setting."),
        (
            ImageModelOptions,
            "flip",
            "maybe",
            'is "maybe": it should be a valid boolean, unable to interpret input, '
            "or it should be 'auto'.",
        ),
        (TrainingOptions, "learning_rate", float("nan"), "is NaN: it should be a finite number."),
        (TableDataOptions, "ignore", [1, 2], "is [1, 2]: it should be a valid string."),
    ],
)
def test_a_bad_value_is_named_as_it_was_typed(
    kind: type[Options], name: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        validate(kind, {name: value}, "group")
    assert str(raised.value) == f"Setting 'group.{name}' {message}"


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (TrainingOptions, "epochs", "auto"),
        (TrainingOptions, "epochs", None),
        (TrainingOptions, "epochs", 3),
        (TrainingOptions, "restore_best", False),
        (ImageModelOptions, "flip", True),
        (ImageModelOptions, "flip", "auto"),
    ],
)
def test_a_good_value_is_taken(kind: type[Options], name: str, value: Any) -> None:
    assert getattr(validate(kind, {name: value}, "group"), name) is value


def test_an_unknown_name_brings_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"'training\.epoch'\. Did you mean 'training\.epochs'"):
        validate(TrainingOptions, {"epoch": 3}, "training")


def test_settings_are_json_where_they_parse_and_text_elsewhere() -> None:
    parsed = parse_settings(["model.flip=true", "training.epochs=auto", "data.ignore=a,b"])
    assert parsed == {
        "data": {"ignore": "a,b"},
        "model": {"flip": True},
        "training": {"epochs": "auto"},
    }


@pytest.mark.parametrize("pair", ["epochs=3", "training.epochs", "training.=3"])
def test_what_is_not_a_setting_is_refused(pair: str) -> None:
    with pytest.raises(ConfigError, match=r"Write it as group\.name=value"):
        parse_settings([pair])
