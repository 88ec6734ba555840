"""A folder in the layout of the Hugging Face hub: config.json, *.safetensors, tokenizer.json.

Everything is read as data: nothing that a file names is imported or executed, pickles are not
opened, and every tensor is checked by name, shape and type before it is used. Which names and
shapes a network needs is known elsewhere.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from septet.errors import DataError

MOST_JSON_BYTES = 64 << 20
MOST_WEIGHT_BYTES = 16 << 30
FLOATS = ("float32", "float16", "bfloat16")


class CheckpointSizes(BaseModel):
    """What a checkpoint that was begun with says of its network, as a model folder keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    dim: Annotated[int, Field(ge=1, le=16_384)]
    depth: Annotated[int, Field(ge=1, le=128)]
    num_heads: Annotated[int, Field(ge=1, le=128)]
    feed_forward_dim: Annotated[int, Field(ge=1, le=16_384)]
    length: Annotated[int, Field(ge=1, le=65_536)]
    epsilon: Annotated[float, Field(gt=0.0, le=0.1)]


def settled(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the model whose `pretrained` is a whole path: a folder's, or a sample's.

    Raises:
        DataError: There is no such folder, or the sample has not been fetched.
    """
    from septet import registry

    found = dict(settings)
    text = found.get("pretrained")
    if not isinstance(text, str):
        return found
    if Path(text).is_dir():
        found["pretrained"] = str(Path(text).absolute())
    elif text in (known := registry.weights("texts")):
        found["pretrained"] = str(known[text].path())
    else:
        raise DataError(
            f"model.pretrained: there is no folder '{text}'. Expected one with config.json, "
            "*.safetensors and tokenizer.json, a KerasHub preset, or the name of one to fetch: "
            f"{', '.join(known)}."
        )
    return found


def refuse(path: Path, reason: str) -> DataError:
    """The one form of every refusal."""
    return DataError(f"model.pretrained: '{path.name}' {reason}")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of JSON."""
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise refuse(path, f"has more than {MOST_JSON_BYTES:,} bytes.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise refuse(path.parent, f"has no {path.name}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise refuse(path, f"cannot be read: {str(error)[:150]}.") from None
    if not isinstance(value, dict):
        raise refuse(path, "holds no JSON object.")
    return value


def whole(config: Mapping[str, Any], name: str, path: Path, *, most: int) -> int:
    """A positive whole number of a configuration."""
    value = config.get(name)
    if type(value) is not int or not 1 <= value <= most:
        raise refuse(
            path, f"says {name} is {str(value)[:40]!r}; expected a whole number up to {most:,}."
        )
    return value


def small(config: Mapping[str, Any], name: str, path: Path, otherwise: float) -> float:
    """What a configuration adds to variances."""
    value = config.get(name, otherwise)
    if not isinstance(value, float) or not 0.0 < value <= 0.1:
        raise refuse(path, f"says {name} is {str(value)[:40]!r}; expected up to 0.1.")
    return value


def require(config: Mapping[str, Any], wanted: Mapping[str, tuple[Any, ...]], path: Path) -> None:
    """Refuse a configuration that says anything else than one of the values of each name."""
    for name, values in wanted.items():
        value = config.get(name)
        if not any(type(value) is type(one) and value == one for one in values):
            known = " or ".join(repr(one) for one in values if one is not None)
            raise refuse(path, f"says {name} is {str(value)[:40]!r}; only {known} is supported.")


def vocabulary_of(
    tokens: Any, size: int, path: Path, *, most: int
) -> tuple[dict[str, int], list[str]]:
    """Pieces with their numbers, which are different ones below `size`; and in their order."""
    numbers = list(tokens.values()) if isinstance(tokens, dict) else []
    if (
        not numbers
        or any(type(number) is not int or not 0 <= number < size for number in numbers)
        or len(set(numbers)) < len(numbers)
        or len(numbers) > most
    ):
        raise refuse(path, f"has token numbers that are not different ones below {size:,}.")
    return tokens, sorted(tokens, key=tokens.__getitem__)


def weight_files(path: Path, given: list[Path] | None = None) -> list[Path]:
    """The files of safetensors in a folder, by name, or those that are given."""
    files = given or sorted(path.glob("*.safetensors"))
    if not files:
        raise refuse(
            path,
            "has no *.safetensors. Files such as pytorch_model.bin are pickles, which are not "
            "opened; save it again with safe_serialization.",
        )
    if sum(file.stat().st_size for file in files) > MOST_WEIGHT_BYTES:
        raise refuse(path, f"has more than {MOST_WEIGHT_BYTES:,} bytes of weights.")
    return files


def tensors_of(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Each tensor of a folder with its name."""
    for file in weight_files(path):
        yield from _tensors(file).items()


def checked_tensors(
    tensors: Iterable[tuple[str, np.ndarray]],
    path: Path,
    plain: Callable[[str], str | None],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, np.ndarray]:
    """The tensors, float32, by the names of `shapes`.

    Args:
        tensors: With their names.
        path: The folder that they are from.
        plain: A tensor's name without what comes before it in some checkpoints; None for one
            that is not read, such as of another head.
        shapes: Every tensor that must be there, and there is no other.

    Raises:
        DataError: A tensor is missing, left over, of another shape or type, or not finite.
    """
    given: dict[str, np.ndarray] = {}
    for name, array in tensors:
        known = plain(name)
        if known is not None:
            given[known] = array
    for name in sorted(shapes.keys() ^ given.keys()):
        said = "is missing" if name in shapes else "is none of this network's"
        raise refuse(path, f"does not fit: the tensor {name[:80]!r} {said}.")
    weights = {}
    for name, shape in shapes.items():
        array = given[name]
        if array.shape != shape or str(array.dtype) not in FLOATS:
            raise refuse(
                path,
                f"does not fit: the tensor {name!r} is {array.dtype} {array.shape} and must be "
                f"float32 {shape}.",
            )
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise refuse(path, f"has numbers in {name!r} that are not finite.")
        weights[name] = array
    return weights


def _tensors(file: Path) -> dict[str, np.ndarray]:
    import safetensors
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise refuse(
            file, f"is no safetensors file that can be read: {str(error)[:150]}."
        ) from None
