"""Settings of the table tasks."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from septet.config import DataOptions, Fraction, ModelOptions, Probability


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


class TableDataOptions(DataOptions):
    """How a table is read."""

    validation_fraction: Fraction = Field(
        default=0.05,
        description="Share of the training data set aside for validation when it is absent. Small, "
        "since tables are: the last epoch is shipped, and validation only watches.",
    )
    target: str | None = Field(
        default=None, description="Column to predict; guessed from the names when not given."
    )
    ignore: Annotated[list[str], BeforeValidator(_names)] = Field(
        default=[], description='Columns not to use, as ["id","notes"] or id,notes.'
    )
    max_categories: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Most frequent values of a category that are told apart.",
    )
    text_features: int = Field(
        default=32, ge=1, le=4096, description="Numbers that stand for the words of a text column."
    )


class TableModelOptions(ModelOptions):
    """The network for tables: residual blocks over numbers and embedded categories."""

    members: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Networks that are trained side by side and answer together; fewer train "
        "faster.",
    )
    width: int = Field(default=128, ge=1, le=16_384, description="Units of each layer.")
    depth: int = Field(default=2, ge=0, le=16, description="Residual blocks of two layers each.")
    dropout: Probability = Field(default=0.1, description="Share of units left out in training.")
    embedding_dim: int = Field(
        default=8, ge=1, le=1024, description="Numbers that stand for one value of a category."
    )
    activation: Literal["relu", "gelu", "silu", "selu", "tanh", "mish"] = Field(
        default="silu", description="Non-linearity of the layers."
    )
