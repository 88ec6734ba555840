"""Jane Austen's six novels as JSON lines, one novel a line.

They come as R keeps the data of a package: an index of where each variable lies in a file of
compressed values. Knows nothing of where those files come from.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from septet.data.rds import RdsError, read_rds
from septet.errors import DataError

INDEX, VALUES = "Rdata.rdx", "Rdata.rdb"
NOVELS = {
    "sensesensibility": "Sense & Sensibility",
    "prideprejudice": "Pride & Prejudice",
    "mansfieldpark": "Mansfield Park",
    "emma": "Emma",
    "northangerabbey": "Northanger Abbey",
    "persuasion": "Persuasion",
}
"""Names in the package, and titles, in the order of publication."""
MOST_BYTES = 16 << 20
"""Of one novel as R keeps it, uncompressed."""


def read_novels(contents: Mapping[str, bytes]) -> dict[str, list[str]]:
    """The lines of each novel by its title.

    Args:
        contents: The uncompressed index and the file of values, by `INDEX` and `VALUES`.

    Raises:
        DataError: They are not as published.
    """
    try:
        places = read_rds(contents[INDEX])["variables"]
        return {
            title: _lines(contents[VALUES], *map(int, places[name]))
            for name, title in NOVELS.items()
        }
    except (RdsError, KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(f"The novels are not as published: {error}.") from None


def _lines(values: bytes, offset: int, length: int) -> list[str]:
    """The lines of a novel: four bytes of its size, then zlib data of an RDS."""
    piece = values[offset : offset + length]
    decompressor = zlib.decompressobj()
    found = read_rds(decompressor.decompress(piece[4:], MOST_BYTES))
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        raise RdsError("a novel is no list of lines")
    return found


def pack(contents: Mapping[str, bytes], path: Path) -> None:
    """Write the novels at `path`: {"title", "text"} on each line."""
    lines = [
        json.dumps({"title": title, "text": "\n".join(lines) + "\n"}, ensure_ascii=False)
        for title, lines in read_novels(contents).items()
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
