import random
import shutil
import signal

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from septet.errors import CheckpointError, StorageError
from septet.runs import checkpoints, faults, storage, tensors
from tests.runs.processes import run_forked

TENSORS = {
    "dense/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "step": np.asarray(7, np.int64),
    "key": np.array([1, 2], np.uint32),
}


def values(step: int) -> dict[str, np.ndarray]:
    return {**TENSORS, "step": np.asarray(step, np.int64)}


def save(root, step, best_step=None, **settings):
    return checkpoints.save(root, step, values(step), {"best_step": best_step}, **settings)


@pytest.mark.parametrize("dtype", [*tensors.CODES, ">i4", ">f8"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_every_type_and_shape_comes_back_bit_for_bit(tmp_path, dtype, shape):
    name = dtype if dtype in tensors.CODES else np.dtype(dtype).name
    source = np.random.default_rng(0).uniform(0, 2, shape).astype(tensors.dtype_of(name))
    given = source.astype(dtype) if dtype.startswith(">") else source
    loaded = checkpoints.load(checkpoints.save(tmp_path, 1, {"x": given}, {})).tensors["x"]
    assert (loaded.dtype, loaded.shape) == (source.dtype, shape)
    assert loaded.tobytes() == source.tobytes()


def test_transposed_and_strided_tensors_keep_their_values(tmp_path):
    given = {"t": np.arange(6).reshape(2, 3).T, "s": np.arange(10, dtype=np.float32)[::3]}
    loaded = checkpoints.load(checkpoints.save(tmp_path, 1, given, {})).tensors
    for name, array in given.items():
        np.testing.assert_array_equal(loaded[name], array)


def test_the_safetensors_library_reads_what_is_saved_and_is_read_back():
    theirs = safetensors.numpy.load(b"".join(tensors.encode_tensors(TENSORS)))
    ours = tensors.decode_tensors(safetensors.numpy.save(TENSORS, {"made": "by hand"}))
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(theirs[name], array, strict=True)
        np.testing.assert_array_equal(ours[name], array, strict=True)


def test_equal_tensors_give_equal_bytes_in_any_order():
    backwards = dict(reversed(TENSORS.items()))
    assert b"".join(tensors.encode_tensors(TENSORS)) == b"".join(tensors.encode_tensors(backwards))


@pytest.mark.parametrize(
    "entry",
    [
        '"dtype":"F32","shape":[2],"data_offsets":[0,4]',
        '"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]',
        '"dtype":"F32","shape":[1],"data_offsets":[4,8]',
        '"dtype":"F32","shape":[2],"data_offsets":[0,8]',
        '"dtype":"F32","shape":[-1],"data_offsets":[4,0]',
        '"dtype":"F32","shape":[true],"data_offsets":[0,4]',
        '"dtype":"OBJ","shape":[1],"data_offsets":[0,4]',
        '"dtype":"F32","shape":[1]',
        '"dtype":"U8","shape":[2],"data_offsets":[0,2]',
    ],
)
def test_headers_that_do_not_describe_their_data_are_refused(entry):
    header = f'{{"x":{{{entry}}}}}'.encode()
    data = len(header).to_bytes(8, "little") + header + b"\0" * 4
    with pytest.raises(ValueError, match="tensor"):
        tensors.decode_tensors(data)


def test_a_header_larger_than_the_file_is_refused_without_reading_it():
    with pytest.raises(ValueError, match="header"):
        tensors.decode_tensors((2**62).to_bytes(8, "little") + b"{}")


def test_values_that_cannot_be_kept_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"names.*object"):
        checkpoints.save(tmp_path, 1, {"names": np.array(["a", None])}, {})
    with pytest.raises(ValueError, match="JSON"):
        checkpoints.save(tmp_path, 1, TENSORS, {"best": float("inf")})
    assert list(tmp_path.iterdir()) == []


def test_load_newest_gives_a_complete_one_after_a_kill_at_every_operation(tmp_path):
    save(tmp_path, 1)
    number, outcome = 0, -signal.SIGKILL
    while outcome != 0:
        number += 1
        shutil.rmtree(checkpoints.folder_of(tmp_path, 2), ignore_errors=True)

        def work(number=number):
            faults.install(f"any:{number}:kill")
            save(tmp_path, 2)

        outcome = run_forked(work)
        assert outcome in (0, -signal.SIGKILL)
        found, skipped = checkpoints.load_newest(tmp_path)
        assert found is not None
        assert (int(found.tensors["step"]), skipped) == (found.step, [])
        assert found.step == (1 if number <= 8 else 2)
    assert number == 10  # three files written and fsynced, folder, rename, parent; then no kill


@pytest.mark.parametrize("effect", ["ENOSPC", "EIO", "EDQUOT", "ENOSPC+"])
def test_no_checkpoint_is_lost_to_a_failing_disk_at_any_operation(tmp_path, effect):
    save(tmp_path, 1)
    for number in range(1, 10):
        with (
            faults.injected(f"any:{number}:{effect}"),
            pytest.raises(StorageError, match=str(checkpoints.folder_of(tmp_path, 2))),
        ):
            save(tmp_path, 2)
        storage.sweep(tmp_path)
        found, skipped = checkpoints.load_newest(tmp_path)
        assert found is not None
        assert (found.step, skipped) == (1 if number < 9 else 2, [])
    save(tmp_path, 2)
    assert checkpoints.load(checkpoints.folder_of(tmp_path, 2)).step == 2


def test_every_truncation_of_the_manifest_is_detected(tmp_path):
    save(tmp_path, 1)
    file = save(tmp_path, 2) / storage.MANIFEST
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=storage.MANIFEST):
            storage.read_manifest(file.parent)
    found, skipped = checkpoints.load_newest(tmp_path)
    assert found is not None
    assert found.step == 1
    assert str(file) in skipped[0]


def test_every_sampled_flip_and_truncation_is_detected_and_named(tmp_path):
    save(tmp_path, 1)
    folder = save(tmp_path, 2)
    files = sorted(folder.iterdir())
    contents = [file.read_bytes() for file in files]
    chance = random.Random(0)
    for number in range(300):
        place = chance.randrange(len(files))
        file, content = files[place], bytearray(contents[place])
        if number % 3:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            del content[chance.randrange(len(content)) :]
        file.write_bytes(content)
        found, skipped = checkpoints.load_newest(tmp_path)
        assert found is not None
        assert found.step == 1
        assert len(skipped) == 1
        assert str(file) in skipped[0]
        file.write_bytes(contents[place])
    assert checkpoints.load(folder).step == 2


def test_a_missing_file_or_a_folder_without_a_manifest_is_skipped(tmp_path):
    save(tmp_path, 1)
    (save(tmp_path, 2) / checkpoints.TENSORS).unlink()
    (tmp_path / "step-000000000003").mkdir()
    (tmp_path / "step-4").mkdir()
    found, skipped = checkpoints.load_newest(tmp_path)
    assert found is not None
    assert found.step == 1
    assert [message.split("'")[1] for message in skipped] == [
        str(tmp_path / "step-000000000003" / storage.MANIFEST),
        str(tmp_path / "step-000000000002" / checkpoints.TENSORS),
    ]


def test_a_run_without_checkpoints_has_none(tmp_path):
    assert checkpoints.load_newest(tmp_path / "absent") == (None, [])
    with pytest.raises(CheckpointError, match="missing"):
        checkpoints.load_best(tmp_path, 3)


def test_copied_and_renamed_folders_still_load(tmp_path):
    save(tmp_path / "run" / "checkpoints", 5)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    (tmp_path / "run").rename(tmp_path / "renamed")
    for name in ("copy", "renamed"):
        found, skipped = checkpoints.load_newest(tmp_path / name / "checkpoints")
        assert found is not None
        assert (found.step, skipped) == (5, [])


def test_a_checkpoint_under_the_name_of_another_step_is_refused(tmp_path):
    save(tmp_path, 1).rename(tmp_path / "step-000000000009")
    with pytest.raises(CheckpointError, match="step 1"):
        checkpoints.load(tmp_path / "step-000000000009")


def test_other_formats_and_wrong_tensor_types_are_refused(tmp_path):
    path = checkpoints.folder_of(tmp_path, 1)
    files = {checkpoints.TENSORS: tensors.encode_tensors(TENSORS), checkpoints.STATE: b"{}"}
    facts = {"kind": "checkpoint", "format": 1, "step": 1, "best": False}
    listed = {**checkpoints.signature(TENSORS), "key": "int32(2,)"}
    storage.commit_folder(path, files, {**facts, "tensors": listed})
    with pytest.raises(CheckpointError, match=r"'key' is uint32\(2,\), not int32\(2,\)"):
        checkpoints.load(path)
    storage.commit_folder(path, files, {**facts, "format": 2, "tensors": listed})
    with pytest.raises(CheckpointError, match="format 2"):
        checkpoints.load(path)


def test_twenty_worsening_saves_keep_the_best_and_the_latest(tmp_path):
    save(tmp_path, 1, best=True)
    for step in range(1, 21):
        committed = save(tmp_path, step, best_step=1)
        checkpoints.prune(tmp_path, 2, committed=committed)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best-000000000001",
        "step-000000000019",
        "step-000000000020",
    ]
    assert int(checkpoints.load_best(tmp_path, 1).tensors["step"]) == 1


def test_a_best_is_kept_as_long_as_a_kept_checkpoint_names_it(tmp_path):
    for step, best_step in ((1, 1), (2, 2), (3, 2)):
        if step == best_step:
            save(tmp_path, step, best=True)
        checkpoints.prune(tmp_path, 2, committed=save(tmp_path, step, best_step=best_step))
        assert best_step in checkpoints.steps(tmp_path, best=True)
    assert checkpoints.steps(tmp_path) == [3, 2]
    assert checkpoints.steps(tmp_path, best=True) == [2]


def test_pruning_does_not_count_damaged_checkpoints_and_never_removes_the_only_good_one(tmp_path):
    for step in (1, 2, 3):
        save(tmp_path, step)
    for step in (2, 3):
        file = checkpoints.folder_of(tmp_path, step) / checkpoints.TENSORS
        file.write_bytes(bytes(file.stat().st_size))
    checkpoints.prune(tmp_path, 1)
    assert checkpoints.steps(tmp_path) == [1]
    (checkpoints.folder_of(tmp_path, 1) / checkpoints.STATE).unlink()
    assert checkpoints.prune(tmp_path, 1) == []
    with pytest.raises(ValueError, match="At least 1"):
        checkpoints.prune(tmp_path, 0)


def test_pruning_after_a_fall_back_removes_the_damaged_ones_beyond(tmp_path):
    save(tmp_path, 5)
    save(tmp_path, 10)
    checkpoints.prune(tmp_path, 2, committed=save(tmp_path, 7))
    assert checkpoints.steps(tmp_path) == [7, 5]


def test_saving_over_a_damaged_checkpoint_of_that_step_mends_it(tmp_path):
    path = save(tmp_path, 1)
    (path / checkpoints.STATE).write_bytes(b"{}")
    save(tmp_path, 1)
    assert checkpoints.load(path).state == {"best_step": None}


def test_bfloat16_is_the_type_that_jax_uses(tmp_path):
    path = checkpoints.save(tmp_path, 1, {"x": np.ones(3, ml_dtypes.bfloat16)}, {})
    assert checkpoints.load(path).tensors["x"].dtype == ml_dtypes.bfloat16
