"""PyTorch's old files read as data: the tensors, and nothing that they would run."""

import base64
import io
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from septet.data.efficientnet_lite import compose, timm_name
from septet.data.torch_file import MAGIC, read_state
from tests.models import drawn_weights

RECORDED = (
    r"c-nPROK;Oa5VqHj(;E5!%A-76;NV=M&^S(fq6gHAdDUF@f-Kir#YUDlV~>ldR4JEMz;EEdk-x@IK;pn`98eKq<*|"
    r"2X=X>m|XY8|`|NL_BW9Qws*W2A0d-2_%_bF%&-_$g1T1u3O%%fvbR+%h7rvko4J9&nfi%1mXEG~e3<TfSo!&F37b"
    r"|NY;PQi3|i;`6;ON3UyxIwF|K(GRnn~Fmg6KDr!U6W=)GPy{QR4V&bITocDKg$xdLF<H|JA8!@areE*CMg0-P?ky"
    r"BjcUyD%8p8LRA>1(LQzz*jE?tgFdT=sl|EI*69Hxeu@7<?<C`XFLyNCdjqiFxx92_a2ECE*fi<_9Olxvyy+l|!47"
    r"7j+#yPA8dce-X{*)?Lmk=(8u*R*qwP{S}Tu(_iHPgR%2kv0d_j<6A(rJlr^H9;8!IeNigR2eKHH57YuJhG7S0d{I"
    r"MF}?=x`p-U)UZF!Z(dMvN1p5VhaTJ_1)UVO$#JLCFyBVF6T)4tQ~43x`^RA4AMOo(cjS)XKEWBm9}wJ89w~H$9jB"
    r"S8`EEn{5aCe>kJZh+Re#G8GJTmrwyfXAvSyj0%e3EP_Ed$wShW{lOS?E!jkZq@#f;+XzWJa1Uzk_3!2"
)
"""torch.save of PyTorch 2.13.0 with _use_new_zipfile_serialization=False: a state dict of a
transposed 2x3 tensor, a part of a longer one, a whole number and one of [1, 2, 1, 1]."""
FILE = zlib.decompress(base64.b85decode(RECORDED))


def test_tensors_are_those_that_were_saved():
    found = read_state(FILE)
    assert list(found) == ["a.weight", "a.part", "a.counter", "b"]
    np.testing.assert_array_equal(found["a.weight"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(found["a.part"], [1, 2])
    assert found["a.counter"] == 7
    assert found["a.counter"].dtype == np.int64
    np.testing.assert_array_equal(found["b"], np.ones((1, 2, 1, 1)))
    assert found["b"].dtype == np.float32


class Evil:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_what_a_pickle_would_run_is_not_run(tmp_path):
    seen = tmp_path / "seen"
    for place in range(5):
        values = [MAGIC, 1001, {}, [], []]
        values[place] = Evil(seen)
        content = b"".join(pickle.dumps(value, protocol=2) for value in values)
        pickle.loads(pickle.dumps(Evil(seen), protocol=2))
        assert seen.exists(), "the pickle is harmless, and this test shows nothing"
        seen.unlink()
        with pytest.raises(ValueError, match="no state dict"):
            read_state(content)
        assert not seen.exists()


def test_what_is_cut_or_changed_is_refused_or_read():
    """Whatever the bytes, the answer is tensors or a ValueError."""
    for size in range(0, len(FILE), 3):
        with pytest.raises(ValueError, match="no state dict"):
            read_state(FILE[:size])
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(600):
        changed = bytearray(FILE)
        for place in random.integers(0, len(FILE), 2):
            changed[place] = random.integers(0, 256)
        try:
            assert all(
                isinstance(value, np.ndarray) for value in read_state(bytes(changed)).values()
            )
        except ValueError:
            refused += 1
    assert 100 < refused < 600


def test_a_zip_archive_is_none_of_them():
    with pytest.raises(ValueError, match="no state dict"):
        read_state(b"PK" + bytes(100))


def state_file(tensors: dict[str, np.ndarray]) -> bytes:
    """The state dict as PyTorch wrote it before 2020."""
    file = io.BytesIO()
    for value in (MAGIC, 1001, {}):
        file.write(pickle.dumps(value, protocol=2))
    text = "\x80\x02ccollections\nOrderedDict\n)R(".encode("latin-1")
    for place, (name, array) in enumerate(tensors.items()):
        kind = "Long" if array.dtype == np.int64 else "Float"
        steps = tuple(step // array.itemsize for step in array.strides)
        text += said(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        text += said("storage") + f"ctorch\n{kind}Storage\n".encode() + said(str(place))
        text += said("cpu") + whole(array.size) + b"NtQ" + whole(0)
        text += whole(*array.shape) + whole(*steps) + b"\x89ccollections\nOrderedDict\n)RtR"
    file.write(text + b"u.")
    file.write(pickle.dumps([str(place) for place in range(len(tensors))], protocol=2))
    for array in tensors.values():
        file.write(array.size.to_bytes(8, "little") + array.tobytes())
    return file.getvalue()


def said(text: str) -> bytes:
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def whole(*numbers: int) -> bytes:
    """One number, or a tuple of several."""
    each = b"".join(b"J" + number.to_bytes(4, "little") for number in numbers)
    return each if len(numbers) == 1 else b"(" + each + b"t"


NAMES = {"conv_pw": "_expand_conv", "conv_dw": "_depthwise_conv", "conv_pwl": "_project_conv"}


def melas_name(name: str, starts: list[int]) -> str:
    """EfficientNet-PyTorch's name of a tensor that timm calls `name`."""
    ends = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    first, *rest = name.split(".")
    if first != "blocks":
        return ".".join([{**ends, "classifier": "_fc"}[first], *rest])
    stage, block, part, last = int(rest[0]), int(rest[1]), rest[2], rest[3]
    names = {**NAMES, "bn1": "_bn0", "bn2": "_bn1", "bn3": "_bn2"}
    if stage == 0:
        names = {
            "conv_dw": "_depthwise_conv",
            "bn1": "_bn1",
            "conv_pw": "_project_conv",
            "bn2": "_bn2",
        }
    return f"_blocks.{starts[stage] + block}.{names[part]}.{last}"


def test_weights_are_written_under_the_names_of_timm(tmp_path):
    theirs = drawn_weights.listed()["efficientnet-lite0 timm"]["tensors"]
    given = {
        melas_name(name, [0, 1, 3, 5, 8, 11, 15]): np.full([1, *shape[1:]], place, np.float32)
        for place, (name, shape) in enumerate(theirs.items())
    }
    assert len(given) == len(theirs)
    # Two axes do; the file that is fetched has all.
    arrays: dict[str, np.ndarray] = {
        name: np.stack([array.ravel()[:2]] * 2) for name, array in given.items()
    }
    arrays["_bn0.num_batches_tracked"] = np.full((2, 2), 7, np.int64)
    compose({"weights.pth": state_file(arrays)}, tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert set(found) == set(theirs)
    for place, name in enumerate(theirs):
        assert found[name].max() == place, name


@pytest.mark.parametrize(
    "name", ["conv_stem.weight", "_blocks.0._se.weight", "_blocks.16._bn0.bias", "_blocks.1", ""]
)
def test_other_tensors_are_refused(name):
    with pytest.raises(ValueError, match="EfficientNet-Lite"):
        timm_name(name)
