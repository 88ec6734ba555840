"""Legends in every form give the same classes; bad ones are refused with a reason."""

import pytest

from septet.errors import DataError
from septet.vision.segmentation.legend import IGNORED, find_legend, read_legend

TABLE = "index,name,red,green,blue\n0,background,0,0,0\n4,cat,9,8,7\n255,void,1,1,1\n2,dog,5,5,5\n"


def written(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table_gives_classes_numbers_and_colours(tmp_path):
    legend = read_legend(written(tmp_path, "legend.csv", TABLE))
    assert legend.classes == ["background", "cat", "dog"]
    assert legend.by_index(200) == {0: 0, 4: 1, 2: 2, 255: IGNORED, 200: IGNORED}
    assert legend.by_colour() == {(0, 0, 0): 0, (9, 8, 7): 1, (5, 5, 5): 2, (1, 1, 1): IGNORED}
    assert legend.colours() == [(0, 0, 0), (9, 8, 7), (5, 5, 5)]
    assert legend.has_index
    assert legend.has_colours


def test_the_background_comes_first_wherever_it_stands(tmp_path):
    legend = read_legend(
        written(tmp_path, "legend.csv", "name,r,g,b\nsky,1,2,3\nBackground,0,0,0\n")
    )
    assert legend.classes == ["Background", "sky"]
    assert not legend.has_index
    assert legend.by_colour() == {(1, 2, 3): 1, (0, 0, 0): 0}


@pytest.mark.parametrize(
    ("name", "text", "by_index"),
    [
        ("classes.txt", "background\ncat\n", {0: 0, 1: 1}),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:9,8,7::\n",
            None,
        ),
        ("legend.json", '{"background": 0, "cat": 7}', {0: 0, 7: 1}),
        ("legend.json", '{"background": [0, 0, 0], "cat": [9, 8, 7]}', None),
        ("legend.tsv", "id\tclass\n0\tbackground\n7\tcat\n", {0: 0, 7: 1}),
        ("legend.csv", "\ufeffindex,name\n0,background\n7,cat\n", {0: 0, 7: 1}),
    ],
)
def test_every_form_is_read(tmp_path, name, text, by_index):
    legend = read_legend(written(tmp_path, name, text))
    assert legend.classes == ["background", "cat"]
    if by_index is None:
        assert legend.by_colour() == {(0, 0, 0): 0, (9, 8, 7): 1}
    else:
        assert legend.by_index(None) == by_index


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("legend.csv", ""),
        ("legend.csv", "a,b\n1,2\n"),
        ("legend.csv", "name\ncat\n"),
        ("legend.csv", "index,name\n0,cat\n"),
        ("legend.csv", "index,name\n0,cat\n0,dog\n"),
        ("legend.csv", "index,name\n0,cat\n1,cat\n"),
        ("legend.csv", "index,name\n0,cat\n256,dog\n"),
        ("legend.csv", "index,name\n-1,cat\n2,dog\n"),
        ("legend.csv", "index,name\n0,cat\nx,dog\n"),
        ("legend.csv", "index,name\n0,cat\n1\n"),
        ("legend.csv", "index,name\n0,cat\n1,dog,more\n"),
        ("legend.csv", "index,name\n0,\n1,dog\n"),
        ("legend.csv", 'index,name\n0,"cat\n1,dog\n'),
        ("legend.csv", "name,red,green,blue\ncat,1,2,3\ndog,1,2,3\n"),
        ("legend.csv", "name,red,green,blue\ncat,1,2,3\ndog,1,2,300\n"),
        ("legend.csv", b"\xff\xfe\x00bad"),
        ("legend.csv", b"x" * (2**20 + 1)),
        ("legend.csv", "index,name\n0," + "n" * 300 + "\n1,b\n"),
        ("legend.json", "["),
        ("legend.json", "[1, 2]"),
        ("legend.json", "{}"),
        ("legend.json", '{"a": 1.5, "b": 2}'),
        ("legend.json", '{"a": [1, 2], "b": [1, 2, 3]}'),
        ("legend.json", "[" * 100_000),
        ("legend.json", '{"a": ' + "9" * 5000 + ', "b": 1}'),
        ("labelmap.txt", "a:1,2::\nb:1,2,3::\n"),
        ("classes.txt", ""),
        ("classes.txt", "one\n"),
        ("classes.txt", "\n".join(f"c{n}" for n in range(256))),
        ("classes.txt", "one\none\n"),
        ("classes.txt", "void\nignore\n"),
        ("classes.txt", b"\x00" * 5000),
        ("classes.txt", b"one\ntw\xc3"),
        ("labelmap.txt", "a:1,2,3::\nb:1,2,x::\n"),
        ("labelmap.txt", "a:1,2,3::\na:4,5,6::\n"),
        ("labelmap.txt", ":1,2,3::\nb:4,5,6::\n"),
        ("legend.tsv", "index,name\n0,a\n1,b\n"),
        ("legend.csv", "index,name\n0,a\n1e1,b\n"),
        ("legend.csv", "index,name\n0,a\n" + "9" * 5000 + ",b\n"),
        ("legend.csv", "index,name\n0,a\nnan,b\n"),
        ("legend.csv", "name,red,green,blue\ncat,1,2\ndog,1,2,3\n"),
        ("legend.csv", "name,red,green,blue\ncat,1,2,-3\ndog,1,2,3\n"),
        ("legend.csv", "name,red,green,blue\ncat,,,\ndog,1,2,3\n"),
        ("legend.csv", "index,name\n" + "0,a," * 100_000),
        ("legend.csv", b"\x1f\x8b\x08" + bytes(300)),
        ("legend.csv", "index,name\n".encode("utf-16") + b"0,a"),
        ("legend.csv", "index,name\n0,a\x00b\n0,c\n"),
        ("legend.json", "null"),
        ("legend.json", "7"),
        ("legend.json", '{"a": true, "b": false}'),
        ("legend.json", '{"a": -1, "b": 1}'),
        ("legend.json", '{"a": 1, "b": [1, 2, 3]}'),
        ("legend.json", '{"a": {"b": {}}, "c": 1}'),
        ("legend.json", '{"a": NaN, "b": 1}'),
        ("legend.json", '{"a": 1, "b": 1}'),
    ],
)
def test_a_bad_legend_is_refused_with_one_message(tmp_path, name, text):
    with pytest.raises(DataError, match="legend") as caught:
        read_legend(written(tmp_path, name, text))
    assert name in str(caught.value)
    assert len(str(caught.value)) < 600


def test_the_nearest_legend_counts_unless_one_is_chosen(tmp_path):
    inner = tmp_path / "masks"
    inner.mkdir()
    written(inner, "classes.txt", "background\ncat\n")
    legend = find_legend([tmp_path, inner], None)
    assert legend is not None
    assert legend.classes == ["background", "cat"]
    written(tmp_path, "mine.txt", "background\ndog\n")
    chosen = find_legend([tmp_path, inner], "mine.txt")
    assert chosen is not None
    assert chosen.classes == ["background", "dog"]
    assert find_legend([tmp_path / "images"], None) is None
    for bad in ("absent.csv", "../outside.csv"):
        with pytest.raises(DataError, match=r"data\.legend is a path relative"):
            find_legend([tmp_path], bad)
