"""What networks write: the same with what was read kept as without, and choices as defined."""

import itertools

import jax
import keras
import numpy as np
import pytest

from septet.engine.native import building
from septet.models.gpt import gpt
from septet.models.guessing import GuessedWriting, guess
from septet.models.language_lstm import language_lstm
from septet.models.writing import Choice, Writer, choose

VOCABULARY = 40
NETWORKS = {
    "gpt-rotary": lambda: gpt(vocabulary_size=VOCABULARY, length=24, dim=16, depth=2, num_heads=2),
    "gpt-learned": lambda: gpt(
        vocabulary_size=VOCABULARY, length=24, dim=16, depth=2, num_heads=2, positions="learned"
    ),
    "lstm": lambda: language_lstm(vocabulary_size=VOCABULARY, dim=8, units=12, depth=2),
}


def made(name):
    keras.utils.set_random_seed(1)
    return randomised(NETWORKS[name]())


def randomised(model):
    """With weights large enough for choices that differ."""
    random = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(np.array(weight.value) + 0.3 * random.normal(size=weight.shape))
    return model


@pytest.fixture(
    scope="module",
    params=[
        "gpt-rotary",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("gpt-learned", "lstm")),
    ],
)
def network(request):
    return made(request.param)


def writer_for(model, how, end=3, **rest):
    """A writer; skips where there is no compiler for it."""
    writer = Writer(model, end=end, banned=(0, 1, 2), most=16, how=how, **rest)
    if how == "native" and model.name == "gpt":
        try:
            building.compiler()
        except building.NoCompilerError as error:
            pytest.skip(str(error))
        assert writer._compiled() is not None
    return writer


@pytest.fixture(scope="module", params=["plain", "loop", "native"])
def writer(network, request):
    return writer_for(network, request.param)


def weights_of(model):
    return (
        [each.value for each in model.trainable_variables],
        [each.value for each in model.non_trainable_variables],
    )


def written(writer, model, prompts, count, choice, **how):
    pieces = list(writer.write(weights_of(model), prompts, count, choice, **how))
    return np.concatenate(pieces, axis=1)


@pytest.fixture(scope="module")
def whole(network, writer):
    """Logits after some tokens, with all of them read anew; what is padded comes after them."""
    room = writer.length or 96
    weights = weights_of(network)
    forward = jax.jit(lambda tokens: network.stateless_call(*weights, {"tokens": tokens})[0])

    def read(context):
        padded = np.zeros((1, room), np.int32)
        padded[0, : len(context)] = context
        return np.array(forward(padded))[0, len(context) - 1]

    return read


def by_looking_again(whole, prompt, count, length):
    """The likeliest tokens with the whole context read anew for each."""
    known, context = list(prompt), list(prompt)
    if length and len(context) >= length:
        context = context[-(length // 2) :]
    for number in range(count):
        if length and len(context) >= length and number:
            context = known[-(length // 2) :]
        logits = whole(context)
        logits[:3] = -np.inf
        token = int(logits.argmax())
        known.append(token)
        context.append(token)
        if token == 3:
            break
    return known[len(prompt) :]


@pytest.mark.parametrize("size", [1, 5, 17, 23, 24, 40])
def test_kept_and_whole_reading_choose_the_same_tokens(writer, network, whole, size):
    prompt = np.random.default_rng(size).integers(4, VOCABULARY, size)
    found = written(writer, network, prompt[None], 50, Choice(temperature=0.0))[0]
    expected = by_looking_again(whole, prompt, 50, writer.length)
    assert found[: len(expected)].tolist() == expected


def test_pieces_and_company_change_nothing(writer, network):
    prompts = np.random.default_rng(3).integers(4, VOCABULARY, (3, 7))
    choice = Choice(temperature=0.9, top_k=20, top_p=0.9, repetition_penalty=1.2, seed=5)
    whole = written(writer, network, prompts, 40, choice)
    pieces = written(writer, network, prompts, 40, choice, at_once=3)
    size = min(whole.shape[1], pieces.shape[1])
    assert (whole[:, :size] == pieces[:, :size]).all()
    likeliest = Choice(temperature=0.0)
    together = written(writer, network, prompts, 20, likeliest)
    for row in range(3):
        alone = written(writer, network, prompts[row : row + 1], 20, likeliest)[0]
        end = np.flatnonzero(alone == 3)
        size = end[0] if len(end) else len(alone)
        assert (together[row, :size] == alone[:size]).all()


@pytest.mark.parametrize(
    "choice",
    [
        Choice(temperature=0.0),
        Choice(temperature=0.7, seed=3),
        Choice(temperature=1.3, top_k=9, top_p=0.9, repetition_penalty=1.3, seed=4),
    ],
)
def test_guesses_change_no_token_however_often_one_looks(choice):
    model = made("gpt-rotary")
    prompt = np.random.default_rng(4).integers(4, VOCABULARY, (1, 9))
    expected = written(writer_for(model, "plain"), model, prompt, 70, choice).tolist()
    for how in ("loop", "native"):
        writer = writer_for(model, how, ahead=5)
        for at_once in (0, 1, 4):
            found = written(writer, model, prompt, 70, choice, at_once=at_once)
            assert found.tolist() == expected, (how, at_once)


def guessing(model, ahead):
    """What writes one text by machine code, with the model's weights."""
    writer = writer_for(model, "native", end=-1)
    native = GuessedWriting(
        writer.reading, writer.variables, banned=writer.banned, end=-1, ahead=ahead
    )
    native.hold([*weights_of(model)[0], *weights_of(model)[1]])
    return native


WIDE = {"length": 90, "depth": 2, "dim": 96, "num_heads": 1, "feed_forward_dim": 70}


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_prompts_are_read_as_the_network_reads_them(positions):
    """Heads of whole vectors and a part of one, prompts of one to three pieces."""
    keras.utils.set_random_seed(2)
    model = randomised(gpt(vocabulary_size=VOCABULARY, positions=positions, **WIDE))
    decoder = guessing(model, ahead=5).decoder
    prompt = np.random.default_rng(0).integers(0, VOCABULARY, WIDE["length"])
    expected = np.array(model({"tokens": prompt[None]}))[0]
    for size in (1, 31, 32, 33, 89):
        known = prompt[:size]
        decoder.begin(known, known, None, temperature=0.0, top_k=0, top_p=1.0, penalty=1.0)
        np.testing.assert_allclose(decoder.logits[0], expected[size - 1], rtol=1e-4, atol=2e-4)


def test_c_chooses_as_xla_does():
    model = made("gpt-rotary")
    native, prompt = guessing(model, ahead=5), np.array([5, 6, 7, 7, 9])
    banned = np.arange(VOCABULARY) < 3
    seen = np.isin(np.arange(VOCABULARY), prompt)
    logits = np.array(model({"tokens": prompt[None]}))[:, -1]
    chosen = jax.jit(lambda *values: choose(logits, seen[None], banned, values, np.int32(7)))
    random, found, expected = np.random.default_rng(0), [], []
    for seed in range(150):
        how = {
            "temperature": float(np.float32(random.choice([0.3, 0.8, 2.0]))),
            "top_k": int(random.choice([0, 1, 3, 12, VOCABULARY, 99])),
            "top_p": float(np.float32(random.choice([1.0, 0.99, 0.8, 0.3, 0.01]))),
            "repetition_penalty": float(np.float32(random.choice([1.0, 1.5, 0.7]))),
        }
        some = native.write(prompt, prompt.tolist(), 7, Choice(seed=seed, **how))
        found.append(next(some)[0])
        temperature, top_k, *rest = how.values()
        values = (np.array([temperature], np.float32), np.int32(top_k), *map(np.float32, rest))
        expected.append(int(chosen(*values, np.uint32(seed))[0]))
    assert found == expected
    assert len(set(found)) > 8


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_right_guesses_save_readings(temperature):
    """Rounded weights choose nearly always as the weights do."""
    native, prompt = guessing(made("gpt-rotary"), ahead=5), [5, 6, 7]
    choice = Choice(temperature=temperature, top_k=30, top_p=0.95, repetition_penalty=1.1)
    pieces = list(native.write(np.array(prompt), prompt, 0, choice))
    assert sum(map(len, pieces)) == 21
    assert max(map(len, pieces)) > 4
    assert len(pieces) < 9


def test_what_is_no_number_ends_a_text_as_in_xla():
    """The first token whose score is no number is chosen, banned ones aside: here the end."""
    model = made("gpt-rotary")
    table = model.get_layer("embedding").table
    table.assign(np.full(table.shape, np.nan))
    prompt, choice = np.array([[5, 6, 7]]), Choice(temperature=0.0)
    for how in ("plain", "native"):
        assert written(writer_for(model, how), model, prompt, 9, choice).tolist() == [[3]]
    for seed in range(8):
        choice = Choice(top_k=seed % 3, top_p=0.5, seed=seed)
        assert written(writer_for(model, "native"), model, prompt, 9, choice).size <= 9


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([], "a prompt of 0 tokens; expected 1 to 23"),
        ([5] * 24, "a prompt of 24 tokens"),
        ([5, -1], "tokens -1 to 5; expected 0 to 39"),
        ([5, VOCABULARY], "tokens 5 to 40"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(prompt, message):
    native = guessing(made("gpt-rotary"), ahead=5)
    with pytest.raises(ValueError, match=message):
        next(native.write(np.array(prompt, int), [5, 6], 0, Choice()))


def test_what_repeats_itself_is_not_drafted():
    """What is likeliest comes around with this penalty, and then all guesses are right."""
    model, choice = made("gpt-rotary"), Choice(temperature=0.0, repetition_penalty=0.1)
    known = [5, 6, 5, 6, 5]
    for _ in range(6):
        found = list(guessing(model, ahead=5).write(np.array(known[-8:]), known, 0, choice))
        known += list(itertools.chain(*found))
    one_by_one = list(guessing(model, ahead=0).write(np.array(known[-8:]), known, 0, choice))
    at_once = list(guessing(model, ahead=5).write(np.array(known[-8:]), known, 0, choice))
    assert list(itertools.chain(*at_once)) == list(itertools.chain(*one_by_one))
    assert {len(each) for each in one_by_one} == {1}
    assert max(map(len, at_once)) == 8


def test_two_texts_at_once_are_each_as_alone():
    model = made("gpt-rotary")
    writer, choice = writer_for(model, "native"), Choice(temperature=0.8, seed=2)
    prompts = np.array([[4, 9, 8]]), np.array([[30, 31, 32, 33]])
    alone = [written(writer, model, prompt, 30, choice).tolist() for prompt in prompts]
    both = [writer.write(weights_of(model), each, 30, choice, at_once=3) for each in prompts]
    pieces: list[list[np.ndarray]] = [[], []]
    for some in itertools.zip_longest(*both):
        for place, piece in enumerate(some):
            pieces[place] += [] if piece is None else [piece]
    assert [np.concatenate(each, axis=1).tolist() for each in pieces] == alone
    # One that is given up lets others have it.
    given_up = writer.write(weights_of(model), prompts[0], 30, choice, at_once=3)
    next(given_up)
    given_up.close()
    native = writer._compiled()
    assert native is not None
    assert not native.lock.locked()


def test_where_the_compiler_has_no_room_the_text_is_written_without_it(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    model, prompt, choice = made("gpt-rotary"), np.array([[4, 9]]), Choice(temperature=0.0)
    expected = written(writer_for(model, "plain"), model, prompt, 12, choice)
    monkeypatch.setattr(building.tempfile, "TemporaryDirectory", full)
    monkeypatch.setattr(building.resources, "owner_only", lambda folder: None)
    writer = Writer(model, end=3, banned=(0, 1, 2), most=16, how="native")
    assert written(writer, model, prompt, 12, choice).tolist() == expected.tolist()
    assert writer._compiled() is None


def test_other_weights_are_read_after_others():
    model, other = made("gpt-rotary"), made("gpt-rotary")
    for weight in other.trainable_variables:
        weight.assign(-1.1 * np.array(weight.value))
    writer, choice = writer_for(model, "native"), Choice(temperature=0.0)
    plain = writer_for(model, "plain")
    for each in (model, other, model):
        found, expected = (
            written(w, each, np.array([[4, 9]]), 15, choice) for w in (writer, plain)
        )
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Of places as alike the last one counts, of others the most alike.
        ([7, 1, 7, 2, 7], [2, 7, 2]),
        ([5, 6, 7, 1, 9, 7, 2, 5, 6, 7], [1, 9, 7]),
        # What has come around goes on coming around.
        ([4, 4], [4, 4, 4]),
        ([8, 1, 2, 1, 2], [1, 2, 1]),
    ],
)
def test_a_guess_is_what_followed_the_most_alike_place(text, expected):
    room = np.zeros(20, np.int32)
    room[: len(text)] = text
    assert np.array(guess(room, np.int32(len(text)), 3)).tolist() == expected


def test_same_seed_same_text_another_seed_another(writer, network):
    prompt = np.array([[9, 8, 7]])
    first, again, other = (
        written(writer, network, prompt, 16, Choice(seed=seed)).tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_one_compilation_serves_all_choices_and_counts(network):
    writer = Writer(network, end=3, banned=(0, 1, 2), most=8, how="plain")
    for number in range(4):
        choice = Choice(temperature=0.5 * number, top_k=number, top_p=1.0 - 0.1 * number)
        written(writer, network, np.array([[5, 6]]), 4 + number, choice)
    assert writer._more._cache_size() == 1  # pyright: ignore
    assert writer._begin._cache_size() == 1  # pyright: ignore


def shares(logits, *, seen=(), count=4000, **how):
    """How often each token is chosen."""
    values = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "penalty": 1.0} | how
    rows = np.repeat(np.array([logits], np.float32), count, axis=0)
    known = np.zeros(rows.shape, bool)
    known[:, list(seen)] = True
    choice = (
        np.full(count, values["temperature"], np.float32), np.int32(values["top_k"]),
        np.float32(values["top_p"]), np.float32(values["penalty"]), np.uint32(0),
    )  # fmt: skip
    found = np.array(choose(rows, known, np.zeros(len(logits), bool), choice, np.int32(0)))
    return np.bincount(found, minlength=len(logits)) / count


def softmax(logits):
    exponents = np.exp(np.array(logits) - np.max(logits))
    return exponents / exponents.sum()


LOGITS = [2.0, 1.0, 0.0, -1.0, 1.5]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, softmax(LOGITS)),
        ({"temperature": 0.5}, softmax(np.array(LOGITS) / 0.5)),
        ({"temperature": 0.0}, [1, 0, 0, 0, 0]),
        ({"top_k": 1}, [1, 0, 0, 0, 0]),
        ({"top_k": 2}, softmax([2.0, -99, -99, -99, 1.5])),
        ({"top_k": 99}, softmax(LOGITS)),
        # The three likeliest have 0.87 together, the two likeliest 0.71.
        ({"top_p": 0.8}, softmax([2.0, 1.0, -99, -99, 1.5])),
        ({"top_p": 0.01}, [1, 0, 0, 0, 0]),
        ({"penalty": 2.0, "seen": (0, 3)}, softmax([1.0, 1.0, 0.0, -2.0, 1.5])),
    ],
)
def test_tokens_are_chosen_as_often_as_they_should_be(how, expected):
    assert np.abs(shares(LOGITS, **how) - np.array(expected)).max() < 0.03


def test_a_banned_token_is_never_chosen_and_an_end_ends(writer, network):
    prompts = np.random.default_rng(3).integers(4, VOCABULARY, (4, 7))
    found = written(writer, network, prompts, 60, Choice(temperature=5.0))
    assert not np.isin(found, [0, 1, 2]).any()
    for row in found:
        ends = np.flatnonzero(row == 3)
        if len(ends):
            assert (row[ends[0] :] == 3).all()


def test_networks_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="expected a multiple"):
        gpt(vocabulary_size=9, length=8, dim=10, num_heads=3)
    with pytest.raises(ValueError, match="are odd"):
        gpt(vocabulary_size=9, length=8, dim=6, num_heads=2)
    with pytest.raises(ValueError, match="at most"):
        gpt(vocabulary_size=9, length=65_536, dim=2048, num_heads=2, positions="learned")
    with pytest.raises(ValueError, match="reads one token alone"):
        Writer(gpt(vocabulary_size=9, length=1, dim=8, num_heads=1), end=3, banned=())
    with pytest.raises(ValueError, match="does not write"):
        Writer(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), end=3, banned=())
