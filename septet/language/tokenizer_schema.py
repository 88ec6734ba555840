"""What a tokenizer learned, as a closed schema of plain values.

It is read from model folders that nobody vouches for: everything is ranged, and what does
not fit together is refused before a tokenizer is built from it.
"""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["words", "characters", "bytes", "bpe", "unigram", "pieces"]
KINDS: tuple[str, ...] = get_args(Kind)

PAD, UNKNOWN, START, END = range(4)
"""Tokens that every tokenizer has: padding, what it does not know, begin and end of a text."""
NUM_SPECIALS = 4
NUM_BYTES = 256

SPELT_IN_BYTES = ("bpe", "unigram")
"""Their pieces are written in the letters of `byte_letters`."""
UNKNOWN_PIECE = "[UNK]"
MOST_PIECES = 60_000
"""With as many merges, what a `model.json` may hold."""
LONGEST_PIECE = 200

Piece = Annotated[str, Field(min_length=1, max_length=LONGEST_PIECE)]
Score = Annotated[float, Field(ge=-1000.0, le=0.0)]
Merge = Annotated[str, Field(min_length=3, max_length=2 * LONGEST_PIECE + 1)]


class PreparedTokenizer(BaseModel):
    """A tokenizer as plain values; token `NUM_SPECIALS + i` is the i-th of its own.

    Args:
        kind: words: `pieces` are the words; characters: the 256 bytes, then `pieces`;
            bytes: the 256 bytes; bpe and unigram: `pieces` are spelt in the letters that stand
            for bytes;
            pieces: of words, those that go on with one before begin with "##" (of a checkpoint).
        lowercase: Take capitals as small letters first (words, characters and pieces).
        pieces: In the order of their numbers.
        merges: Of bpe, "a b" in the order in which they are made.
        strips_accents: Of pieces, take letters without their accents first.
        scores: Of unigram, the logarithm of how likely each piece is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    kind: Kind
    lowercase: bool
    pieces: Annotated[list[Piece], Field(max_length=MOST_PIECES)]
    merges: Annotated[list[Merge], Field(max_length=MOST_PIECES)]
    strips_accents: bool = False
    scores: Annotated[list[Score], Field(max_length=MOST_PIECES)] = []

    @model_validator(mode="after")
    def _fits_together(self) -> "PreparedTokenizer":
        known = set(self.pieces)
        if len(known) < len(self.pieces):
            raise ValueError("a piece is repeated")
        if self.kind == "bytes" and self.pieces:
            raise ValueError("bytes have no pieces")
        if self.kind == "characters" and any(len(piece) != 1 for piece in self.pieces):
            raise ValueError("a piece of characters has more than one")
        if self.strips_accents and self.kind != "pieces":
            raise ValueError(f"{self.kind} keep accents")
        if self.kind == "pieces" and UNKNOWN_PIECE in known:
            raise ValueError(f"{UNKNOWN_PIECE} stands for what is unknown")
        if self.merges and self.kind != "bpe":
            raise ValueError(f"{self.kind} have no merges")
        if len(self.scores) != (len(self.pieces) if self.kind == "unigram" else 0):
            raise ValueError(f"{self.kind} have {len(self.scores)} scores")
        if self.kind not in SPELT_IN_BYTES:
            return self
        if not known >= set(byte_letters()):
            raise ValueError("a byte has no piece, so that there would be unknown text")
        if len(set(self.merges)) < len(self.merges):
            raise ValueError("a merge is repeated")
        for merge in self.merges:
            parts = merge.split(" ")
            if len(parts) != 2 or not {*parts, "".join(parts)} <= known:
                raise ValueError(f"the merge {merge[:40]!r} is not of two pieces into a third")
        return self

    @property
    def size(self) -> int:
        """Tokens there are, the special ones included."""
        of_bytes = NUM_BYTES if self.kind in ("bytes", "characters") else 0
        return NUM_SPECIALS + of_bytes + len(self.pieces)


def byte_letters() -> list[str]:
    """The printable letter that stands for each byte in pieces of bpe (Radford et al. 2019)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 0
    for byte in range(NUM_BYTES):
        letters[byte] = chr(byte) if byte in plain else chr(NUM_BYTES + extra)
        extra += byte not in plain
    return [letters[byte] for byte in range(NUM_BYTES)]
