import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from septet.runs import page
from septet.runs.report import show_number, write_report

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</title><iframe src=https://evil.example>",
    "--><b onclick=alert(1)>x",
    "{{7*7}} ${7*7} &lt;script&gt;",
    "javascript:alert(1)",
    "evil\u202egnp.exe",
    "bad\udcff\x00name",
]
TAGS = set(
    "html head meta title style body main header section div p h1 h2 h3 b span code pre table "
    "thead tbody tr th td details summary figure img figcaption".split()
)
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "alt", "src"}


class Reading(HTMLParser):
    """Tags, attributes and text of a page, as a browser would see them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def report(folder, word="cat", **changes):
    """A report with `word` in every place that holds text from outside."""
    (folder / "curves.png").write_bytes(PNG)
    (folder / "confusion.png").write_bytes(PNG)
    entry = {"label": word, "precision": 0.5, "recall": 1.0, "f1": 0.667, "support": 3,
             "intervals": {"f1": [0.1, 0.9]}}  # fmt: skip
    rejection = {"code": word, "file": word, "line": 7, "reason": word, "remedy": word}
    finding = {"code": word, "severity": word, "where": word, "message": word, "remedy": word}
    parts = {
        "name": word,
        "config": {"task": word, "source": word, "seed": 0, "data": {word: word}},
        "account": {"read": 9, "used": 8, "rejected": 1, "splits": {word: 8},
                    "classes": {word: {word: 8}}, "rejections": [rejection],
                    "findings": [finding]},
        "evaluation": {"split": word, "examples": 8, "scores": {"accuracy": 0.875, word: 1.0},
                       "intervals": {"accuracy": [0.8, 0.95]}, "per_class": [entry, entry],
                       "confusion": [[1, 2], [0, 3]],
                       "mistakes": [{"row": 4, "actual": word, "predicted": word}]},
        "log_rows": [{"epoch": 1, "loss": 0.5, word: 2.0}],
        "figures": [("curves.png", word), ("confusion.png", word), (word, word)],
        "receipt": {"data": word, "versions": {word: word}, "plan": [{word: word}]},
        "facts": {word: word, "parameters": 12345},
        **changes,
    }  # fmt: skip
    return write_report(folder, **parts)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_text_from_outside_never_becomes_markup(tmp_path, payload):
    html = report(tmp_path, payload)
    html.encode()  # no lone surrogates
    seen, harmless = Reading(html), Reading(report(tmp_path, "cat"))
    assert set(seen.tags) <= TAGS
    # The picture whose file is called like the payload is missing in both.
    assert [tag for tag in seen.tags if tag != "p"] == [t for t in harmless.tags if t != "p"]
    assert {name for name, _ in seen.attributes} <= ATTRIBUTES
    sources = [value for name, value in seen.attributes if name == "src"]
    assert len(sources) == 2
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert not {"\u202e", "\x00", "\udcff"} & set(html)


@pytest.mark.parametrize("payload", PAYLOADS[:4])
def test_text_from_outside_is_shown_as_it_is(tmp_path, payload):
    texts = Reading(report(tmp_path, payload)).texts
    assert sum(payload in text for text in texts) > 15


def test_the_policy_allows_the_style_sheet_and_nothing_to_load(tmp_path):
    html = report(tmp_path)
    styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
    policy = dict(Reading(html).attributes)["content"]
    policies = [v for k, v in Reading(html).attributes if k == "content" and "default-src" in v]
    assert len(styles) == 1
    assert policy
    assert policies == [
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    ]
    assert "http://" not in html
    assert "https://" not in html
    assert " style=" not in html


def test_the_headline_has_the_score_with_its_interval(tmp_path):
    html = report(tmp_path)
    assert '<div class="tile first"><b>0.8750</b>' in html
    assert "95 % interval 0.8000 to 0.9500, on 8 cat examples" in html
    assert "<b>12,345</b><span>parameters</span>" in html


def test_rejections_are_capped_with_a_count_of_the_rest(tmp_path):
    rejection = {"file": "a.png", "line": None, "reason": "torn", "remedy": "mend"}
    account = {"read": 90, "used": 20, "rejected": 70, "rejections": [rejection] * 70}
    html = report(tmp_path, account=account)
    assert html.count("torn") == 50
    assert "… and 20 more." in html
    assert "90 examples read = 20 used + 70 rejected." in html


def test_the_most_frequent_confusion_is_named(tmp_path):
    entries = [{"label": label} for label in ("shirt", "coat")]
    html = report(tmp_path, evaluation={"per_class": entries, "confusion": [[5, 1], [4, 5]]})
    rows = re.findall(r"<tr>(.*?)</tr>", html.split("Most frequent confusions")[1])
    assert re.findall(r">([^<>]+)</td>", rows[1]) == ["coat", "shirt", "4"]
    assert re.findall(r">([^<>]+)</td>", rows[2]) == ["shirt", "coat", "1"]


def test_pictures_outside_the_folder_or_not_png_are_not_embedded(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "text.png").write_text("not a picture")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    names = ["../secret.png", str(tmp_path / "secret.png"), "text.png", "link.png", "gone.png"]
    html = report(folder, figures=[(name, "caption") for name in names])
    assert "<img" not in html
    assert html.count("is missing.)") == 3


def test_scores_of_a_split_that_is_not_the_test_are_called_too_good(tmp_path):
    seen = {"split": "validation", "examples": 3, "scores": {"r2": None}, "intervals": {}}
    html = report(tmp_path, evaluation=seen)
    assert "likely too good" in html
    assert "<b>–</b>" in html
    unseen = report(tmp_path, evaluation={**seen, "split": "test", "non_finite": 2})
    assert "likely too good" not in unseen
    assert "2 outputs were not finite" in unseen


def test_an_empty_run_still_gives_a_page(tmp_path):
    html = write_report(
        tmp_path, name="r", config={}, account={}, evaluation={}, log_rows=[], figures=[],
        receipt={},
    )  # fmt: skip
    assert "<h1>r</h1>" in html
    assert "How good it is" not in html


def test_folders_of_the_machine_are_left_out(tmp_path):
    html = report(tmp_path, config={"task": "t", "source": "/home/someone/data/pets", "seed": 0})
    assert "pets" in html
    assert "someone" not in html


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.91234567, "0.9123"), (1234567, "1,234,567"), (52.3456, "52.35"), (1e-5, "1e-05"),
     (3e7, "3e+07"), (None, "–"), (float("nan"), "–"), (0.0, "0.0000"), ("x", "x")],
)  # fmt: skip
def test_numbers_read_well(value, shown):
    assert show_number(value) == shown


def test_markup_made_here_is_not_escaped_twice():
    made = page.element("p", page.element("b", "<"), "&", css='a"b')
    assert made == '<p class="a&quot;b"><b>&lt;</b>&amp;</p>'


def test_what_pictures_could_not_show_is_said_once(tmp_path):
    said = "No installed font has the characters 猫"
    assert report(tmp_path, remark=said).count(said) == 1
    assert "No installed font" not in report(tmp_path)
