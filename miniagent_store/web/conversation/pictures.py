"""Pictures and files in messages: what travels as data is shown, what lies elsewhere is a link."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from miniagent_store.web.conversation.blocks import Block
from miniagent_store.web.conversation.markdown import DATA_PICTURE
from miniagent_store.web.rendering import size

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
}
# Larger ones would be most of the page; the raw view tells of them.
LARGEST = 1_000_000
_PICTURES = ("image_url", "image", "input_image")
_FILES = ("input_audio", "audio", "file", "input_file", "document", "video", "binary", "inlineData")


def picture_of(part: Mapping[str, Any]) -> Block | None:
    """A piece of a part that is a picture or a file; None of any other."""
    kind = part.get("type") or part.get("block_type") or part.get("kind")
    for name in _PICTURES:
        if kind == name or (kind is None and name in part):
            return _picture(part, _source(part, name))
    for name in _FILES:
        if kind == name or (kind is None and name in part):
            return _file(part, name)
    return None


def _source(part: Mapping[str, Any], name: str) -> Any:
    """Where a picture is: an address, its bytes, or the base64 text of these with "data:" before it."""
    inner = part.get(name)
    holder = inner if isinstance(inner, Mapping) else part
    source = holder.get("source")
    if isinstance(source, Mapping):
        holder = source
    for each in ("url", "image_url", "uri", "file_uri", "bytes", "data", "image"):
        found = holder.get(each)
        if isinstance(found, Mapping):
            found = found.get("url")
        if isinstance(found, str) and each in {"data", "bytes", "image"} and ":" not in found[:12]:
            kind = holder.get("media_type") or holder.get("mime_type")
            kind = kind or f"image/{part.get('format', 'png')}"
            return f"data:{kind};base64,{found}"
        if isinstance(found, str | bytes):
            return found
    return inner if isinstance(inner, str | bytes) else None


def _picture(part: Mapping[str, Any], source: Any) -> Block:
    alt = str(part.get("alt") or part.get("detail") or "picture")
    if isinstance(source, bytes):
        kind = next((kind for start, kind in _BEGINNINGS.items() if source.startswith(start)), None)
        if source[:4] == b"RIFF" and source[8:12] == b"WEBP":
            kind = "webp"
        if kind is None or len(source) > LARGEST:
            return Block("note", f"A picture of {size(len(source))}, which is not shown here.")
        data = base64.b64encode(source).decode()
        return Block("picture", alt, address=f"data:image/{kind};base64,{data}")
    if not isinstance(source, str):
        return Block("note", "A picture that is kept elsewhere.")
    if source.startswith("data:"):
        if len(source) > LARGEST * 4 // 3 or not DATA_PICTURE.fullmatch(source):
            return Block("note", f"A picture of {size(len(source) * 3 // 4)}, which is not shown here.")
        return Block("picture", alt, address=source)
    return _link(source, alt)


def _file(part: Mapping[str, Any], name: str) -> Block:
    inner = part.get(name)
    holder = inner if isinstance(inner, Mapping) else part
    what = str(holder.get("filename") or holder.get("name") or holder.get("format") or "")
    for each in ("url", "file_url", "uri", "file_uri"):
        if isinstance(holder.get(each), str):
            return _link(holder[each], what or name)
    data = holder.get("data") or holder.get("file_data") or holder.get("bytes")
    long = f", {size(len(data) if isinstance(data, bytes) else len(data) * 3 // 4)}" if data else ""
    named = f" {what!r}" if what else ""
    return Block("note", f"{name.replace('_', ' ')}{named}{long}: see the raw entry.")


def _link(address: str, text: str) -> Block:
    """A link to what lies elsewhere, if it leads to a web page; nothing is fetched."""
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        return Block("note", f"{text}, kept as {address[:200]}")
    return Block("link", f"{text} at {parts.netloc}", address=address)
