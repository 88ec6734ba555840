import numpy as np
import pytest
from PIL import Image

from septet.evaluation import drawing
from septet.evaluation.classification import evaluate_classification
from septet.evaluation.figures import (
    _classes_with_most_mistakes,
    draw_classification,
    draw_curves,
    draw_regression,
)


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
