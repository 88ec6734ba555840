"""Texts as token numbers and back: words, characters, bytes, and several kinds of their pieces.

Byte pairs are trained and applied by the `tokenizers` library, which is imported only then.
It also applies unigrams, which `sentencepiece` trains (the same in every process, which
`tokenizers` does not do), and BERT's pieces, which come with a checkpoint; the others are a few
lines each. All but words and pieces know every text: what is not in the vocabulary is spelt
in bytes.
"""

import re
import sys
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from septet.errors import DataError, MissingPackageError
from septet.language.tokenizer_schema import (
    MOST_PIECES,
    NUM_BYTES,
    NUM_SPECIALS,
    UNKNOWN,
    UNKNOWN_PIECE,
    Kind,
    PreparedTokenizer,
    byte_letters,
)

Span = tuple[int, int]
"""First character of a token in its text and the one after its last."""

IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Characters that are words for themselves: Chinese, and Japanese syllables."""
LAST_PLANES = 0x20000
"""Beyond it only ideographs and, far out, selectors of their variants."""


def learn_tokenizer(
    kind: Kind, texts: Iterable[str], *, size: int, lowercase: bool = False
) -> PreparedTokenizer:
    """The tokenizer of a kind from training texts: the same for the same texts.

    Args:
        kind: Of `KINDS`.
        texts: Only those of the training split.
        size: Most tokens in all.
        lowercase: Take capitals as small letters (words and characters).

    Raises:
        DataError: `size` is too small for the kind.
        MissingPackageError: bpe without the package `tokenizers`, unigram without it and
            `sentencepiece`.
    """
    room = min(size - NUM_SPECIALS, MOST_PIECES)
    if kind == "bpe":
        pieces, merges = _learn_pairs(texts, room)
        return PreparedTokenizer(kind=kind, lowercase=False, pieces=pieces, merges=merges)
    if kind == "unigram":
        scores = _learn_unigrams(texts, room)
        return PreparedTokenizer(
            kind=kind, lowercase=False, pieces=list(scores), merges=[], scores=[*scores.values()]
        )
    lowercase = lowercase and kind != "bytes"
    pieces = []
    if kind == "words":
        # A word seen once cannot be learned; what is unknown can, from those left out here.
        counts = Counter(word for text in texts for word in words_of(text, lowercase))
        fewest = 2 if counts.total() >= 1000 else 1
        pieces = most_common(counts, room, fewest)
    elif kind == "characters":
        counts = Counter(char for text in texts for char in (text.lower() if lowercase else text))
        pieces = most_common(counts, room - NUM_BYTES, 1)
    return PreparedTokenizer(kind=kind, lowercase=lowercase, pieces=pieces, merges=[])


def most_common(counts: Counter[str], room: int, fewest: int) -> list[str]:
    """The most frequent, equally frequent ones in the order of their characters."""
    usable = [word for word, count in counts.items() if count >= fewest and len(word) <= 200]
    return sorted(usable, key=lambda word: (-counts[word], word))[: max(room, 0)]


def _learn_pairs(texts: Iterable[str], room: int) -> tuple[list[str], list[str]]:
    """Pieces and merges of byte pairs (Sennrich et al., arXiv:1508.07909)."""
    import json

    _require_bytes(room, "bpe")
    library = tokenizers_library()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = library.trainers.BpeTrainer(
        vocab_size=room,
        show_progress=False,
        initial_alphabet=byte_letters(),
        max_token_length=100,
        min_frequency=2,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return pieces, [" ".join(pair) for pair in model["merges"]]


def _require_bytes(room: int, kind: str) -> None:
    if room < NUM_BYTES:
        raise DataError(
            f"A vocabulary of {room + NUM_SPECIALS} tokens is too small for {kind}, whose "
            f"{NUM_BYTES} bytes are in it. Use a larger data.vocabulary, or data.tokenizer=bytes."
        )


def _learn_unigrams(texts: Iterable[str], room: int) -> dict[str, float]:
    """Pieces and the logarithms of their shares (Kudo, arXiv:1804.10959), over words in bytes."""
    import io

    _require_bytes(room, "unigram")
    library = tokenizers_library()
    trainer = sentencepiece_library().SentencePieceTrainer
    split = library.pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    counts = Counter(word for text in texts for word, _ in split(text) if len(word) <= 200)
    letters = byte_letters()
    scores: dict[str, float] = {}
    if counts:
        model = io.BytesIO()
        trainer.train(
            sentence_iterator=iter(f"{word}\t{count}" for word, count in sorted(counts.items())),
            input_format="tsv",
            model_writer=model,
            model_type="unigram",
            vocab_size=room + 1,
            hard_vocab_limit=False,
            required_chars="".join(letters),
            character_coverage=1.0,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_by_unicode_script=False,
            split_by_number=False,
            split_by_whitespace=False,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=1,
            minloglevel=2,
        )
        learned = sentencepiece_library().SentencePieceProcessor(model_proto=model.getvalue())
        for number in range(1, learned.vocab_size()):
            # Shares, not sums in another order, are what is learned: four digits are kept.
            scores[learned.id_to_piece(number)] = round(learned.get_score(number), 4)
    least = min(scores.values(), default=0.0) - 1.0
    inner = sorted((piece for piece in scores if len(piece) > 1), key=lambda p: (-scores[p], p))
    kept = inner[: room - NUM_BYTES]
    return {piece: scores.get(piece, least) for piece in (*letters, *kept)}


def sentencepiece_library() -> Any:
    """The package `sentencepiece`.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        import sentencepiece
    except ImportError:
        raise MissingPackageError(
            "sentencepiece", "language", "Learning tokens of unigrams"
        ) from None
    return sentencepiece


def tokenizers_library() -> Any:
    """The package `tokenizers`.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        import tokenizers
        import tokenizers.models
        import tokenizers.normalizers
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError:
        raise MissingPackageError(
            "tokenizers", "language", "Tokens of byte pairs (bpe) or pieces of words"
        ) from None
    return tokenizers


class Tokenizer(ABC):
    """Texts to token numbers and back; made by `tokenizer_of`."""

    def __init__(self, prepared: PreparedTokenizer):
        """Use what was learned."""
        self.prepared = prepared
        self.size = prepared.size

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token numbers of each text, int32 [tokens].

        Raises:
            DataError: A text has half of a surrogate pair, which is no character.
        """
        return [ids for ids, _ in self.encode_with_spans(texts)]

    def encode_with_spans(self, texts: Sequence[str]) -> list[tuple[np.ndarray, list[Span]]]:
        """Token numbers of each text, and where in it each token is."""
        for place, text in enumerate(texts, 1):
            require_unicode(text, f"Text {place}")
        return self._encode(texts)

    @abstractmethod
    def _encode(self, texts: Sequence[str]) -> list[tuple[np.ndarray, list[Span]]]:
        """See `encode_with_spans`."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of token numbers; special ones are left out.

        Gives back what was encoded, but for words, which forget white space and what they do
        not know, and for capitals where they are taken as small letters. Bytes that do not make
        up a character become U+FFFD.
        """

    def spell(self, ids: Iterable[int]) -> bytes:
        """The bytes that token numbers stand for; special ones are left out."""
        return self.decode(ids).encode()


def require_unicode(text: str, name: str) -> None:
    """Refuse what is no text.

    Raises:
        DataError: It has half of a surrogate pair.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name} has half of a surrogate pair ({text[error.start]!r}) at character "
            f"{error.start}, which is no character. Read it as UTF-8."
        ) from None


class Words(Tokenizer):
    """Words, numbers and marks; what is not in the vocabulary is unknown."""

    def __init__(self, prepared: PreparedTokenizer):
        """See `Tokenizer`."""
        super().__init__(prepared)
        self._numbers = {word: NUM_SPECIALS + i for i, word in enumerate(prepared.pieces)}

    def _encode(self, texts: Sequence[str]) -> list[tuple[np.ndarray, list[Span]]]:
        find, lower = word_pattern().finditer, self.prepared.lowercase
        encoded = []
        for text in texts:
            spans, ids = [], []
            for match in find(text):
                word = match.group()
                spans.append(match.span())
                ids.append(self._numbers.get(word.lower() if lower else word, UNKNOWN))
            encoded.append((np.array(ids, np.int32), spans))
        return encoded

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer`: words with a space between each two."""
        pieces = self.prepared.pieces
        return " ".join(
            pieces[i - NUM_SPECIALS] if i >= NUM_SPECIALS else "\ufffd"
            for i in map(int, ids)
            if i >= NUM_SPECIALS or i == UNKNOWN
        )


class Characters(Tokenizer):
    """Characters in the vocabulary, all others as their bytes; without a vocabulary, bytes."""

    def __init__(self, prepared: PreparedTokenizer):
        """See `Tokenizer`."""
        super().__init__(prepared)
        first = NUM_SPECIALS + NUM_BYTES
        self._numbers = {piece: first + i for i, piece in enumerate(prepared.pieces)}
        spelt = [bytes([byte]) for byte in range(NUM_BYTES)]
        self._spelt = [*spelt, *(piece.encode() for piece in prepared.pieces)]
        self._codes = np.full(sys.maxunicode + 1, -1, np.int32)
        self._codes[[ord(piece) for piece in prepared.pieces]] = range(self.size)[first:]

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """See `Tokenizer`; without spans it takes a thousandth of the time."""
        if self.prepared.lowercase:
            return super().encode(texts)
        encoded = []
        for place, text in enumerate(texts, 1):
            require_unicode(text, f"Text {place}")
            ids = self._codes[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
            encoded.append(self._with_bytes(text, ids))
        return encoded

    def _with_bytes(self, text: str, ids: np.ndarray) -> np.ndarray:
        """`ids` with every -1 replaced by the bytes of its character in `text`."""
        unknown = np.flatnonzero(ids < 0)
        if not len(unknown):
            return ids
        if len(unknown) == len(ids):
            return np.frombuffer(text.encode(), np.uint8).astype(np.int32) + NUM_SPECIALS
        spelt = [
            np.frombuffer(text[at].encode(), np.uint8).astype(np.int32) + NUM_SPECIALS
            for at in unknown
        ]
        parts = np.split(ids, np.sort(np.concatenate([unknown, unknown + 1])))
        for number, piece in enumerate(spelt):
            parts[2 * number + 1] = piece
        return np.concatenate(parts)

    def spell(self, ids: Iterable[int]) -> bytes:
        """See `Tokenizer`."""
        return b"".join(self._spelt[i - NUM_SPECIALS] for i in map(int, ids) if i >= NUM_SPECIALS)

    def _encode(self, texts: Sequence[str]) -> list[tuple[np.ndarray, list[Span]]]:
        encoded = []
        for text in texts:
            ids: list[int] = []
            spans: list[Span] = []
            for place, char in enumerate(text):
                # Most capitals have one small letter; "İ" has two, which are spelt out.
                letters = char.lower() if self.prepared.lowercase else char
                for letter in letters:
                    number = self._numbers.get(letter)
                    if number is not None:
                        ids.append(number)
                    else:
                        ids.extend(NUM_SPECIALS + byte for byte in letter.encode())
                spans.extend([(place, place + 1)] * (len(ids) - len(spans)))
            encoded.append((np.array(ids, np.int32), spans))
        return encoded

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer`."""
        return self.spell(ids).decode("utf-8", "replace")


class Pairs(Tokenizer):
    """Byte pairs, applied by the `tokenizers` library."""

    def __init__(self, prepared: PreparedTokenizer):
        """See `Tokenizer`."""
        super().__init__(prepared)
        library = tokenizers_library()
        self._inner = library.Tokenizer(self._model(library))
        self._inner.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._bytes = {letter: byte for byte, letter in enumerate(byte_letters())}

    def _model(self, library: Any) -> Any:
        vocabulary = {piece: i for i, piece in enumerate(self.prepared.pieces)}
        merges = [tuple(merge.split(" ")) for merge in self.prepared.merges]
        return library.models.BPE(vocabulary, merges)

    def _encode(self, texts: Sequence[str]) -> list[tuple[np.ndarray, list[Span]]]:
        return [
            (np.array(encoding.ids, np.int32) + NUM_SPECIALS, encoding.offsets)
            for encoding in self._inner.encode_batch(list(texts), add_special_tokens=False)
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer`."""
        return self.spell(ids).decode("utf-8", "replace")

    def spell(self, ids: Iterable[int]) -> bytes:
        """See `Tokenizer`."""
        pieces = self.prepared.pieces
        letters = "".join(pieces[i - NUM_SPECIALS] for i in map(int, ids) if i >= NUM_SPECIALS)
        return bytes(self._bytes[letter] for letter in letters if letter in self._bytes)


class Unigrams(Pairs):
    """The likeliest cut of each word into pieces, applied by the `tokenizers` library."""

    def _model(self, library: Any) -> Any:
        prepared = self.prepared
        return library.models.Unigram(list(zip(prepared.pieces, prepared.scores, strict=True)))


class WordPieces(Tokenizer):
    """The longest pieces of words, from their beginning on (Wu et al., arXiv:1609.08144).

    As BERT does: control characters go, ideographs and marks stand alone, a word that cannot be
    put together is unknown. Applied by the `tokenizers` library.
    """

    def __init__(self, prepared: PreparedTokenizer):
        """See `Tokenizer`."""
        super().__init__(prepared)
        library = tokenizers_library()
        numbers = {piece: NUM_SPECIALS + i for i, piece in enumerate(prepared.pieces)}
        numbers[UNKNOWN_PIECE] = UNKNOWN
        self._inner = library.Tokenizer(
            library.models.WordPiece(numbers, unk_token=UNKNOWN_PIECE, max_input_chars_per_word=100)
        )
        self._inner.normalizer = library.normalizers.BertNormalizer(
            lowercase=prepared.lowercase, strip_accents=prepared.strips_accents
        )
        self._inner.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()

    def _encode(self, texts: Sequence[str]) -> list[tuple[np.ndarray, list[Span]]]:
        return [
            (np.array(encoding.ids, np.int32), encoding.offsets)
            for encoding in self._inner.encode_batch(list(texts), add_special_tokens=False)
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer`: words with a space between each two."""
        pieces = self.prepared.pieces
        words = [
            pieces[i - NUM_SPECIALS] if i >= NUM_SPECIALS else "\ufffd"
            for i in map(int, ids)
            if i >= NUM_SPECIALS or i == UNKNOWN
        ]
        return " ".join(words).replace(" ##", "")


TOKENIZERS: dict[str, type[Tokenizer]] = {
    "words": Words,
    "characters": Characters,
    "bytes": Characters,
    "bpe": Pairs,
    "unigram": Unigrams,
    "pieces": WordPieces,
}


def tokenizer_of(prepared: PreparedTokenizer) -> Tokenizer:
    """The tokenizer that was learned.

    Raises:
        MissingPackageError: bpe without the package `tokenizers`.
    """
    return TOKENIZERS[prepared.kind](prepared)


def words_of(text: str, lowercase: bool) -> list[str]:
    """Words, numbers and marks of a text."""
    return word_pattern().findall(text.lower() if lowercase else text)


@lru_cache(maxsize=1)
def word_pattern() -> re.Pattern[str]:
    """What a word is: an ideograph; letters with marks, joined by apostrophes; else any mark."""
    # Python's "letters" leave out the vowel signs of Indian scripts and accents that stand alone.
    marks = _ranges(
        code for code in range(LAST_PLANES) if unicodedata.category(chr(code))[0] == "M"
    )
    letter = rf"(?:[^\W{IDEOGRAPHS}_]|[{marks}\u200c\u200d])"
    return re.compile(rf"[{IDEOGRAPHS}][{marks}]*|{letter}+(?:['’]{letter}+)*|[^\w\s]|_")


def _ranges(codes: Iterable[int]) -> str:
    """Code points as the inside of a character class."""
    found: list[list[int]] = []
    for code in codes:
        if found and code == found[-1][1] + 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in found)
