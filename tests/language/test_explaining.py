"""What words added to an answer adds up, and lies where the words are."""

from septet.models import text

# isort: split
# Septet comes first, since it chooses the backend of Keras.
from typing import Any

import numpy as np
import pytest

from septet.language.explaining import explain_texts, of_words, shared
from septet.language.tokenizing import learn_tokenizer, tokenizer_of

TEXTS = ["the film is good , really good !", "bad", "the  plot is bad and the cast is dull"]
SHARED: dict[str, Any] = {"num_outputs": 3, "dim": 8}
NETWORKS = {
    "bag": lambda size: text.bag(vocabulary_size=size, **SHARED, ngrams=3, buckets=50),
    "cnn": lambda size: text.cnn(vocabulary_size=size, **SHARED, filters=6),
    "gru": lambda size: text.recurrent(vocabulary_size=size, **SHARED, units=5, kind="gru"),
    "transformer": lambda size: text.encoder(
        vocabulary_size=size, **SHARED, length=16, num_heads=2, feed_forward_dim=8, depth=1
    ),
}


def explained(name):
    tokenizer = tokenizer_of(learn_tokenizer("words", TEXTS, size=400))
    model, random = NETWORKS[name](tokenizer.size), np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.4 * random.normal(size=variable.shape))
    encoded = tokenizer.encode_with_spans(TEXTS)
    tokens = np.zeros((3, 16), np.int32)
    for row, (ids, _) in zip(tokens, encoded, strict=True):
        row[: len(ids)] = ids
    weights = (
        [variable.value for variable in model.trainable_variables],
        [variable.value for variable in model.non_trainable_variables],
    )
    spans = [spans for _, spans in encoded]
    logits = np.asarray(model({"tokens": tokens}))
    return explain_texts(model, weights, tokens, TEXTS, spans, ["a", "b", "c"]), logits


@pytest.mark.filterwarnings("ignore:.*__array__:DeprecationWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_what_the_words_added_is_the_difference_of_the_scores(name):
    explanations, logits = explained(name)
    for explanation, row, words in zip(explanations, logits, TEXTS, strict=True):
        place = int(row.argmax())
        assert explanation.answer == "abc"[place]
        margin = row[place] - np.delete(row, place).mean()
        assert explanation.score == pytest.approx(margin, abs=1e-5)
        assert "".join(part for part, _ in explanation.parts) == words
        added = sum(value for _, value in explanation.parts)
        difference = explanation.score - explanation.baseline
        # The bag is linear, so that every step is exact; the others are sums of 64 steps.
        tolerance = 1e-5 if name == "bag" else 0.02 * max(abs(difference), 0.5)
        assert added == pytest.approx(difference, abs=tolerance)
        assert all(value == 0 for part, value in explanation.parts if part.isspace())
        assert any(abs(value) > 1e-3 for _, value in explanation.parts)


def test_what_runs_added_is_shared_by_their_tokens():
    runs = np.array([[4.0, 2.0, 0.0, 3.0, 0.0, 0.0]], np.float32)  # 3 pairs, then 3 triples
    assert np.asarray(shared(runs, 3)).tolist() == [[3.0, 4.0, 2.0]]


def test_pieces_of_words_count_for_their_word():
    pieces = of_words("un|do  it", [(0, 2), (2, 3), (3, 5), (5, 7), (7, 9)], np.arange(1.0, 6.0))
    assert pieces == [("un", 1.0), ("|", 2.0), ("do", 7.0), ("  ", 0.0), ("it", 5.0)]
    assert of_words("  ", [(0, 2)], np.array([1.0])) == [("  ", 1.0)]
    assert of_words("日本", [(0, 1), (0, 1), (1, 2)], np.ones(3)) == [("日", 2.0), ("本", 1.0)]
