"""Scenes: what is pasted is where the boxes and masks say, and nothing is in two splits."""

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from septet.data import scenes
from septet.data.composing import (
    Cutout,
    Variety,
    blob,
    compose_scene,
    recoloured,
    run_lengths,
)
from septet.data.scenes import COLOURS, divided

CASES = {"lower": str.lower, "upper": str.upper}


def disc(colour, category):
    picture = Image.new("RGBA", (60, 40))
    ImageDraw.Draw(picture).ellipse((0, 0, 59, 39), fill=(*colour, 255))
    return Cutout(picture, category)


CUTOUTS = [[disc((255, 0, 0), 0)], [disc((0, 255, 0), 1)]]
PHOTOGRAPHS = [Image.new("RGB", (200, 120), (0, 0, 90))]


def made(seed, most=6, variety=None):
    random = np.random.default_rng(seed)
    return compose_scene(CUTOUTS, PHOTOGRAPHS, random, side=96, most=most, variety=variety)


def test_same_seed_gives_the_same_scene_and_another_seed_another():
    assert (made(1).pixels == made(1).pixels).all()
    assert (made(1).pixels != made(2).pixels).any()


@pytest.mark.parametrize("seed", range(20))
def test_masks_hold_the_pixels_of_their_thing_and_boxes_fit_them(seed):
    scene = made(seed)
    assert 1 <= len(scene.things) <= 6
    together = np.zeros((96, 96), int)
    for thing in scene.things:
        together += thing.mask
        left, top, width, height = thing.box
        assert thing.mask[top : top + height, left : left + width].sum() == thing.mask.sum()
        assert thing.mask[top].any()
        assert thing.mask[:, left + width - 1].any()
        inside = scene.pixels[thing.mask].astype(int).mean(0)
        # The disc's own colour, mixed with what is behind it at the rim.
        assert inside.argmax() == thing.category
    assert together.max() <= 1
    outside = scene.pixels[together == 0]
    assert np.median(outside[:, :2]) == 0


@pytest.mark.parametrize("seed", range(20))
def test_varied_scenes_have_exact_masks_too(seed):
    scene = made(seed, variety=Variety(hue=0.0, colour=0.2, blobs=2))
    assert (scene.pixels == made(seed, variety=Variety(hue=0.0, colour=0.2, blobs=2)).pixels).all()
    assert (scene.pixels != made(seed).pixels).any()
    together = np.sum([thing.mask for thing in scene.things], axis=0)
    assert together.max() <= 1
    for thing in scene.things:
        inside = scene.pixels[thing.mask].astype(int).mean(0)
        assert inside.argmax() == thing.category


def test_colours_are_turned_and_blobs_are_of_a_size():
    random = np.random.default_rng(0)
    pixels = np.full((4, 4, 3), (200.0, 40.0, 40.0), np.float32)
    turned = [recoloured(pixels, random, Variety(hue=0.5, colour=0.0))[0, 0] for _ in range(40)]
    assert {int(colour.argmax()) for colour in turned} == {0, 1, 2}
    np.testing.assert_allclose([colour.mean() for colour in turned], 280 / 3, atol=12)
    same = recoloured(pixels, random, Variety(hue=0.0, colour=0.0))
    np.testing.assert_allclose(same, pixels, atol=1e-3)
    shares = [blob(random, 96).mean() for _ in range(60)]
    assert 0.001 < min(shares)
    assert max(shares) < 0.6


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_are_those_of_coco(seed):
    mask = np.random.default_rng(seed).random((7, 5)) < 0.5
    mask[-1, -1] = seed % 2
    values, flat = 0, []
    for count in run_lengths(mask):
        flat += [values] * count
        values = 1 - values
    assert flat == mask.T.ravel().astype(int).tolist()


def test_full_and_empty_masks_have_run_lengths():
    assert run_lengths(np.zeros((2, 3), bool)) == [6]
    assert run_lengths(np.ones((2, 3), bool)) == [0, 6]


def test_a_quarter_of_the_cut_outs_is_for_the_test_in_whatever_order_they_come():
    paths = [f"a/{word}{n}.png" for word in "abcdefghij" for n in (1, 2)]
    split = divided(paths)
    assert sorted(split["train"] + split["test"]) == sorted(paths)
    assert len(split["test"]) == 5
    assert divided(paths[::-1]) == split


def test_letters_of_one_shape_stay_on_one_side():
    paths = [f"{case}/{f(n)}.png" for n in "abcdefgh" for case, f in CASES.items()]
    split = divided(paths)
    names = {side: {path.split("/")[1].casefold() for path in split[side]} for side in split}
    assert not names["train"] & names["test"]
    assert len(split["test"]) == 4


def png(picture):
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def stamps_and_photographs():
    contents = {}
    for folders in scenes.CLASSES.values():
        for number, word in enumerate(["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"]):
            shade = (30 * number, 200, 90)
            path = f"{scenes.STAMPS}{folders[0]}{word}.png"
            contents[path] = png(disc(shade, 0).picture)
    for number, end in enumerate([*scenes.PHOTOGRAPHS["train"], *scenes.PHOTOGRAPHS["test"]]):
        contents[f"x/{end}"] = png(Image.new("RGB", (200, 170), (9 * number, 0, 0)))
    return contents


def test_set_is_pictures_coco_json_and_indexed_masks_with_a_legend(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "COUNTS", {"train": 3, "test": 2})
    contents = stamps_and_photographs()
    for name in ("first", "second"):
        scenes.compose(contents, tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "first") for p in tmp_path.glob("first/**/*.*"))
    assert len(files) == 2 * 5 + 2 + 1
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    listed = json.loads((tmp_path / "first/annotations/train.json").read_text())
    assert [category["name"] for category in listed["categories"]] == list(scenes.CLASSES)
    assert len(COLOURS) >= len(scenes.CLASSES)
    for image in listed["images"]:
        with Image.open(tmp_path / "first/train" / image["file_name"]) as picture:
            assert picture.size == (160, 160)
        mask = Image.open(tmp_path / f"first/masks/train/{image['id']:05}.png")
        assert mask.mode == "P"
        classes = np.asarray(mask)
        things = [a for a in listed["annotations"] if a["image_id"] == image["id"]]
        for category in {a["category_id"] for a in things}:
            area = sum(a["area"] for a in things if a["category_id"] == category)
            assert (classes == category).sum() == area
    legend = (tmp_path / "first/masks/legend.csv").read_text().splitlines()
    assert legend[:2] == ["index,name,red,green,blue", "0,background,0,0,0"]
    assert len(legend) == 1 + 1 + len(scenes.CLASSES)


def test_photographs_of_the_test_are_no_training_photographs():
    assert not set(scenes.PHOTOGRAPHS["train"]) & set(scenes.PHOTOGRAPHS["test"])
