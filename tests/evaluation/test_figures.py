from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from septet.evaluation import drawing
from septet.evaluation.attention import draw_attention
from septet.evaluation.classification import evaluate_classification
from septet.evaluation.figures import (
    _classes_with_most_mistakes,
    draw_classification,
    draw_curves,
    draw_regression,
)
from septet.vision.box_figures import drawn_boxes


def drawn(folder, names, count=40):
    random = np.random.default_rng(0)
    labels = random.integers(0, len(names), count)
    logits = random.normal(size=(count, len(names)))
    evaluation = evaluate_classification(logits, labels, names, resamples=20)
    return draw_classification(evaluation, logits, labels, names, folder)


def ink(path):
    """How many different colours a picture has; a blank one has one."""
    picture = Image.open(path).convert("RGB")
    return len(picture.getcolors(maxcolors=10**7) or [])


def test_a_classification_gives_three_pictures_with_captions(tmp_path):
    figures = drawn(tmp_path, ["cat", "dog", "emu"])
    assert [name for name, _ in figures] == ["confusion.png", "reliability.png", "per-class.png"]
    for name, caption in figures:
        assert caption.endswith(".")
        assert ink(tmp_path / name) > 20


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("Trouser", "Trouser"),
        ("$\\frac{1}{", r"\$\frac{1}{"),
        ("two\nlines\t", "two lines"),
        ("x" * 80, "x" * 25 + "…"),
        ("bad\udcff", "#7"),
        ("", "#7"),
        ("Grüße", "Grüße"),
    ],
)
def test_labels_become_one_safe_line(label, shown):
    assert drawing.safe_label(label, 7) == shown


def test_labels_without_a_glyph_and_with_mathematics_draw_without_warnings(tmp_path):
    names = ["猫", "$\\frac{a$", "a$b$c", "\U0001f600", "a\nb\udcff"]
    assert len(drawn(tmp_path, names)) == 3  # warnings are errors


def without_fonts(monkeypatch):
    """Only matplotlib's own font, as on a machine where none was installed."""
    drawing._fonts()
    only = tuple(entry for entry in drawing._fonts() if entry[0] == "DejaVu Sans")
    monkeypatch.setattr(drawing, "_fonts", lambda: only)
    monkeypatch.setattr(drawing, "_has_glyph", drawing._has_glyph.__wrapped__)


def test_characters_that_no_font_has_are_said_once(monkeypatch):
    without_fonts(monkeypatch)
    with drawing.undrawn() as found:
        assert drawing.safe_label("猫", 3) == "#3"
        assert drawing.safe_text("a 猫 or 狗") == "a ? or ?"
        assert drawing.safe_label("cat\udcff", 4) == "#4"
    drawing.safe_label("鸟", 5)
    assert found == {"猫", "狗", "\udcff"}
    said = drawing.remark_on(found)
    assert said.startswith("No installed font has the characters 狗 猫: ")
    assert "apt install fonts-noto-cjk" in said
    assert drawing.remark_on({"\udcff"}) == drawing.remark_on(set()) == ""
    assert " and 88 more: " in drawing.remark_on(map(chr, range(0x4E00, 0x4E00 + 100)))


def test_fonts_installed_after_matplotlib_made_its_list_are_found():
    from matplotlib import font_manager

    files = [path for path in font_manager.findSystemFonts() if "CJK" in path]
    if not files:
        pytest.skip("no font with Chinese characters is installed")
    assert drawing.safe_label("猫狗鸟", 3) == "猫狗鸟"
    assert drawing.font_file("猫") != drawing.font_file("cat")


def test_many_classes_are_cut_to_those_with_the_most_mistakes():
    table = np.diag(np.full(1000, 9))
    table[500, 3] = table[7, 900] = 5
    shown, sentence = _classes_with_most_mistakes(table)
    assert len(shown) == 30
    assert {500, 3, 7, 900} <= set(shown.tolist())
    assert "30 of 1000" in sentence


def test_no_examples_give_no_pictures(tmp_path):
    assert drawn(tmp_path, ["a", "b"], count=0) == []
    assert draw_regression(np.zeros(0), np.zeros(0), tmp_path) == []
    assert draw_curves([], tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_regression_is_drawn_without_its_non_finite_predictions(tmp_path):
    actual = np.linspace(0, 1, 50)
    predicted = actual + 0.1
    predicted[3] = np.nan
    names = [name for name, _ in draw_regression(predicted[:, None], actual, tmp_path)]
    assert names == ["predicted-against-actual.png", "residuals.png"]
    assert all(ink(tmp_path / name) > 20 for name in names)


def test_curves_name_the_best_epoch_and_bear_gaps(tmp_path):
    losses = [0.9, 0.4, None, float("nan"), 0.6]
    rows = [
        {"epoch": epoch, "loss": 1.0 / epoch, "accuracy": 0.5, "learning_rate": 1e-3,
         "validation_loss": loss, "validation_accuracy": 0.4}
        for epoch, loss in enumerate(losses, 1)
    ]  # fmt: skip
    [(name, caption)] = draw_curves(rows, tmp_path)
    assert "0.4, in epoch 2" in caption
    assert ink(tmp_path / name) > 20


def test_equal_pictures_have_equal_bytes(tmp_path):
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.4}]
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        draw_curves(rows, tmp_path / name)
        files.append((tmp_path / name / "curves.png").read_bytes())
    assert files[0] == files[1]


def test_attention_to_chinese_tokens_is_drawn_without_warnings(tmp_path, monkeypatch):
    entry = {"source": ["一", "百", "</s>"], "target": ["one", "百"], "weights": [[1, 0, 0]] * 2}
    draw_attention([entry], tmp_path, "a.png")
    assert ink(tmp_path / "a.png") > 20
    without_fonts(monkeypatch)
    with drawing.undrawn() as found:
        draw_attention([entry], tmp_path, "a.png")
    assert found == {"一", "百"}


def test_boxes_of_classes_that_no_font_has_are_numbered(monkeypatch):
    def drawn_with(label: str) -> bytes:
        box = SimpleNamespace(label=label, score=0.5, left=5, top=30, right=60, bottom=60)
        return drawn_boxes(np.zeros((80, 80), np.uint8), [box])

    without_fonts(monkeypatch)
    with drawing.undrawn() as found:
        assert drawn_with("猫") == drawn_with("#1")
    assert found == {"猫"}
    assert drawn_with("cat") != drawn_with("#1")
