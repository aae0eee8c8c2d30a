"""Texts as the words that they are found by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# What a person would select by a double click, or copy: "INV-2024/0017", "a_b.c", "ada@example.com", "C++".
_WHOLE = re.compile(r"[^\s\x00-\x1f\x7f\ud800-\udfff,;:!?\"'`()\[\]{}<>|«»“”„‘’。、，！？]+")
_PART = re.compile(r"[^\W_]+")
# Scripts that put no space between words: Thai, Lao, Khmer, Japanese, Chinese, and so on.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
# A longer one is no word; what it begins with finds it.
MAX_TOKEN = 64


def tokens(text: str) -> list[str]:
    """The words of a text, in order and as often as they stand there.

    Case and accents make no difference. What is joined by punctuation is a word as a whole and in its
    parts; of scripts without spaces each sign and each pair of signs is a word.
    """
    return [token[:MAX_TOKEN] for token in _tokens(_folded(text))]


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(each for each in decomposed if not unicodedata.combining(each))


def _tokens(text: str) -> Iterator[str]:
    for chunk in _WHOLE.findall(text):
        whole = chunk.strip(".-/\\_=*~^")
        parts = _PART.findall(whole)
        if parts and parts != [whole] and not _UNSPACED.search(whole):
            yield whole
        for part in parts:
            yield from _signs(part)


def _signs(part: str) -> Iterator[str]:
    after = 0
    for run in _UNSPACED.finditer(part):
        if run.start() > after:
            yield part[after : run.start()]
        signs, after = run[0], run.end()
        yield from signs
        yield from (signs[at : at + 2] for at in range(len(signs) - 1))
    if after < len(part):
        yield part[after:]
