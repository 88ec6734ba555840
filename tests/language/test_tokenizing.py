"""Tokenizers give back what they took, know every text, and load only what fits together."""

import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from septet.errors import DataError, MissingPackageError
from septet.language import tokenizing
from septet.language.tokenizer_schema import (
    NUM_SPECIALS,
    UNKNOWN,
    PreparedTokenizer,
    byte_letters,
)
from septet.language.tokenizing import learn_tokenizer, tokenizer_of, words_of
from tests.language.odd_strings import STRINGS

TRAINED_ON = ["the film is good", "the film is bad", "这部电影很好", "das ist gut 😀"] * 50
LOSSLESS = ["characters", "bytes", "bpe", "unigram"]


def learn(kind, texts=TRAINED_ON, **rest):
    if kind in ("bpe", "unigram"):
        pytest.importorskip("tokenizers")
        pytest.importorskip("sentencepiece")
    return learn_tokenizer(kind, texts, **{"size": 500, **rest})


def test_there_are_200_odd_strings():
    assert len(STRINGS) >= 200


@pytest.mark.parametrize("kind", LOSSLESS)
def test_every_odd_string_comes_back_as_it_was(kind):
    tokenizer = tokenizer_of(learn(kind))
    encoded = tokenizer.encode_with_spans(STRINGS)
    assert [tokenizer.decode(ids) for ids, _ in encoded] == STRINGS
    for text, (ids, spans) in zip(STRINGS, encoded, strict=True):
        assert len(ids) == len(spans)
        assert ((ids >= NUM_SPECIALS) & (ids < tokenizer.size)).all()  # none is unknown
        assert all(0 <= first <= last <= len(text) for first, last in spans)


def test_byte_pairs_are_those_of_the_library_itself():
    library = pytest.importorskip("tokenizers")
    texts = [*TRAINED_ON, *STRINGS]
    prepared = learn("bpe", texts, size=600)
    alone = library.Tokenizer(library.models.BPE())
    alone.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = library.trainers.BpeTrainer(
        vocab_size=600 - NUM_SPECIALS, min_frequency=2, max_token_length=100,
        initial_alphabet=byte_letters(), show_progress=False,
    )  # fmt: skip
    alone.train_from_iterator(texts, trainer)
    ours = tokenizer_of(PreparedTokenizer.model_validate_json(prepared.model_dump_json()))
    for text, ids in zip(texts, ours.encode(texts), strict=True):
        assert (ids - NUM_SPECIALS).tolist() == alone.encode(text).ids
        assert ours.decode(ids) == text


@pytest.mark.parametrize("kind", LOSSLESS)
def test_half_a_surrogate_pair_is_refused_by_name(kind):
    with pytest.raises(DataError, match=r"Text 2 has half of a surrogate pair .* character 1"):
        tokenizer_of(learn(kind)).encode(["fine", "a\udc80b"])


def test_words_know_marks_ideographs_and_vowel_signs():
    assert words_of("I DON'T like it!", lowercase=True) == ["i", "don't", "like", "it", "!"]
    assert words_of("日本です ok", lowercase=False) == ["日", "本", "で", "す", "ok"]
    assert words_of("हिन्दी a\u0301b foo_bar", lowercase=False) == [
        "हिन्दी", "a\u0301b", "foo", "_", "bar",
    ]  # fmt: skip


def test_words_say_where_they_are_and_what_is_unknown():
    tokenizer = tokenizer_of(learn("words", lowercase=True))
    ((ids, spans),) = tokenizer.encode_with_spans(["The  film rocks"])
    assert [(first, last) for first, last in spans] == [(0, 3), (5, 9), (10, 15)]
    assert (ids == UNKNOWN).tolist() == [False, False, True]
    assert tokenizer.decode(ids) == "the film \ufffd"


def test_no_odd_string_breaks_words():
    tokenizer = tokenizer_of(learn("words", STRINGS, lowercase=True))
    for text, (ids, spans) in zip(STRINGS, tokenizer.encode_with_spans(STRINGS), strict=True):
        words = [text[first:last] for first, last in spans]
        assert all(words)
        # Nothing but white space lies between words, so nothing is lost in silence.
        assert "".join(words) == "".join(text.split()) == "".join(words_of(text, lowercase=False))
        assert len(ids) == len(words)


def test_capitals_count_where_they_should():
    kept, lowered = learn("characters"), learn("characters", lowercase=True)
    assert tokenizer_of(kept).decode(tokenizer_of(kept).encode(["THE"])[0]) == "THE"
    assert tokenizer_of(lowered).decode(tokenizer_of(lowered).encode(["THE"])[0]) == "the"


@pytest.mark.parametrize("kind", ["words", *LOSSLESS])
def test_learning_is_the_same_in_every_process(kind):
    learn(kind)  # where its package is installed
    program = (
        "import hashlib\n"
        "from tests.language.odd_strings import STRINGS\n"
        "from septet.language.tokenizing import learn_tokenizer\n"
        f"learned = learn_tokenizer({kind!r}, STRINGS * 3, size=700)\n"
        "print(hashlib.sha256(learned.model_dump_json().encode()).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1


def test_size_is_kept_to():
    for kind in ("words", *LOSSLESS):
        prepared = learn(kind, STRINGS, size=300)
        assert prepared.size <= 300 or kind == "bytes"
        ids = np.concatenate(tokenizer_of(prepared).encode(STRINGS))
        assert ids.max() < prepared.size


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_too_small_a_vocabulary_for_all_bytes_is_refused(kind):
    with pytest.raises(DataError, match=f"too small for {kind}"):
        learn_tokenizer(kind, ["a"], size=100)


def test_unigrams_are_what_is_frequent_and_cut_the_likeliest_way():
    texts = ["the film was good", "the films were better", "goodness in the film"] * 40
    prepared = learn("unigram", texts, size=300)
    assert {"Ġfilm", "good"} <= set(prepared.pieces)
    tokenizer = tokenizer_of(prepared)
    (ids,) = tokenizer.encode(["the film"])
    scores = dict(zip(prepared.pieces, prepared.scores, strict=True))
    assert scores["Ġfilm"] > scores["z"]

    def best(word):
        """By trying every cut."""
        if not word:
            return 0.0, []
        cuts = [
            (scores[word[:size]] + best(word[size:])[0], [word[:size], *best(word[size:])[1]])
            for size in range(1, len(word) + 1)
            if word[:size] in scores
        ]
        return max(cuts)

    expected = [piece for word in ("the", "Ġfilm") for piece in best(word)[1]]
    assert [prepared.pieces[i - NUM_SPECIALS] for i in ids] == expected


@pytest.mark.parametrize(("kind", "package"), [("bpe", "tokenizers"), ("unigram", "sentencepiece")])
def test_a_missing_package_is_named_with_its_install_line(monkeypatch, kind, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=r"pip install 'septet\[language\]'"):
        tokenizing.learn_tokenizer(kind, ["a"], size=1000)


ALPHABET = byte_letters()
WRONG = {
    "kind": {"kind": "pickle"},
    "more": {"path": "/etc/passwd"},
    "repeated": {"pieces": ["a", "a"]},
    "long": {"pieces": ["a" * 201]},
    "empty piece": {"pieces": [""]},
    "many": {"pieces": [str(i) for i in range(60_001)]},
    "number": {"pieces": [1]},
    "merges of words": {"merges": ["a b"]},
    "two characters": {"kind": "characters", "pieces": ["ab"]},
    "pieces of bytes": {"kind": "bytes", "pieces": ["a"]},
    "no alphabet": {"kind": "bpe", "pieces": ALPHABET[:-1]},
    "unknown part": {"kind": "bpe", "pieces": ALPHABET, "merges": ["a b"]},
    "three parts": {"kind": "bpe", "pieces": [*ALPHABET, "abc"], "merges": ["a b c"]},
    "unigrams without scores": {"kind": "unigram", "pieces": ALPHABET},
    "scores of too few": {"kind": "unigram", "pieces": ALPHABET, "scores": [-1.0]},
    "score above one": {"kind": "unigram", "pieces": ALPHABET, "scores": [1.0] * 256},
    "score not a number": {"kind": "unigram", "pieces": ALPHABET, "scores": [float("nan")] * 256},
    "unigrams without alphabet": {"kind": "unigram", "pieces": ["a"], "scores": [-1.0]},
    "scores of words": {"kind": "words", "pieces": ["a"], "scores": [-1.0]},
    "repeated merge": {"kind": "bpe", "pieces": [*ALPHABET, "ab"], "merges": ["a b", "a b"]},
    "text for yes": {"lowercase": "yes"},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_tokenizer_that_does_not_fit_together_is_refused(name):
    plain = {"kind": "words", "lowercase": True, "pieces": ["a"], "merges": []}
    PreparedTokenizer.model_validate(plain)
    with pytest.raises(ValidationError):
        PreparedTokenizer.model_validate({**plain, **WRONG[name]})
