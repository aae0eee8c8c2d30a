"""The embedder ``hash``: without a model, without a download, the same everywhere."""

from __future__ import annotations

import asyncio
import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

from miniagent_store.errors import ConfigurationError

DIMENSIONS = 512
# Fewer are hashed at once than would take a thread to be worth it.
AT_ONCE = 8
_WORD = re.compile(r"\w+")


class HashEmbedder:
    """Words and their parts, hashed to dimensions (feature hashing: Weinberger et al., 2009).

    Texts are near each other that share words or parts of words. Of meaning it knows nothing: "car" is as
    far from "automobile" as from "cloud". Good for tests, names and numbers, and where no model may run.
    """

    name: str = f"hash:{DIMENSIONS}"
    dimensions: int | None = DIMENSIONS

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Sequence[Sequence[float]]:
        """A vector for each text; those of the same text are the same in every process."""
        if len(texts) <= AT_ONCE and sum(map(len, texts)) < 4000:
            return [hashed(text) for text in texts]
        return await asyncio.to_thread(lambda: [hashed(text) for text in texts])


def make(rest: str) -> HashEmbedder:
    """The embedder; there is one of it.

    Raises:
        ConfigurationError: something stands behind its name.
    """
    if rest not in ("", str(DIMENSIONS)):
        raise ConfigurationError(f"the embedder is 'hash', of {DIMENSIONS} dimensions; not 'hash:{rest}'")
    return HashEmbedder()


def hashed(text: str) -> list[float]:
    """The vector of a text, of length 1; all zero for one without letters and digits."""
    vector = [0.0] * DIMENSIONS
    for feature, count in Counter(_features(text)).items():
        number = zlib.crc32(feature.encode())
        sign = 1.0 if number & 0x8000_0000 else -1.0
        # Whole words say more than their parts.
        weight = 2.0 if feature[0] == "w" else 1.0
        vector[number % DIMENSIONS] += sign * weight * (1 + math.log(count))
    length = math.hypot(*vector)
    return [each / length for each in vector] if length else vector


def _features(text: str) -> Iterator[str]:
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        yield f"w{word}"
        padded = f"<{word}>"
        for size in (3, 4):
            for start in range(len(padded) - size + 1):
                yield padded[start : start + size]
