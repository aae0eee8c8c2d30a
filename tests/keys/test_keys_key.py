"""One key: its id, its label, its text, and that it shows its secret to nobody."""

from __future__ import annotations

import base64
import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagent_store.errors import ConfigurationError
from miniagent_store.keys import Key
from miniagent_store.keys.key import hkdf_expand

SECRET = bytes(range(32))
TEXT = base64.urlsafe_b64encode(SECRET).decode().rstrip("=")


# RFC 5869, appendix A.1 to A.3: PRK, info, OKM.
@pytest.mark.parametrize(
    ("prk", "info", "okm"),
    [
        (
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            bytes(range(0xB0, 0x100)).hex(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
            "cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_hkdf_expand_gives_what_rfc_5869_publishes(prk: str, info: str, okm: str) -> None:
    wanted = bytes.fromhex(okm)

    assert hkdf_expand(bytes.fromhex(prk), bytes.fromhex(info), len(wanted)) == wanted
    # A shorter output is the beginning of a longer one.
    assert hkdf_expand(bytes.fromhex(prk), bytes.fromhex(info), 4) == wanted[:4]


def test_the_id_comes_from_the_secret_and_not_from_the_label() -> None:
    assert Key(SECRET).id == hkdf_expand(SECRET, b"miniagent-store/v1/kid", 4)
    assert Key(SECRET, "a").id == Key(SECRET, "b").id
    assert Key(SECRET).id != Key(SECRET[::-1]).id
    assert Key(SECRET).label == Key(SECRET).id.hex()


def test_keys_are_equal_if_their_secrets_are() -> None:
    assert Key(SECRET, "a") == Key(SECRET, "b")
    assert hash(Key(SECRET, "a")) == hash(Key(SECRET, "b"))
    assert Key(SECRET) != Key(SECRET[::-1])
    assert Key(SECRET) != SECRET


def test_what_is_derived_differs_by_purpose_and_from_the_id() -> None:
    derived = {Key(SECRET).derive(purpose) for purpose in (b"", b"kid", b"wrap", b"digest")}

    assert len(derived) == 4
    assert all(len(each) == 32 and SECRET not in each for each in derived)


@given(
    secret=st.binary(min_size=32, max_size=32),
    label=st.from_regex(r"[A-Za-z0-9][\w.-]{0,20}", fullmatch=True),
)
def test_a_key_is_written_and_read(secret: bytes, label: str) -> None:
    if len(set(secret)) == 1 or not label.isascii():
        return
    key = Key(secret, label)

    read = Key.from_text(f"  {key.to_text()}\n")

    assert (read.secret, read.label, read.id) == (secret, label, key.id)


def test_a_generated_key_is_new_each_time() -> None:
    assert len({Key.generate().secret for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "secret",
    [b"", b"short", SECRET + b"\x20", SECRET[:31], bytes(32), b"\x01" * 32, TEXT, bytearray(SECRET), None],
)
def test_what_is_no_secret_is_refused(secret: Any) -> None:
    with pytest.raises(ConfigurationError, match="miniagent-store keys generate"):
        Key(secret, "label")


@pytest.mark.parametrize("label", ["a b", "a:b", "é", "-a", "a" * 65, "a\n", "a,b", "a#b"])
def test_a_label_that_could_not_be_read_back_is_refused(label: str) -> None:
    with pytest.raises(ConfigurationError, match="at most 64 letters"):
        Key(SECRET, label)


@pytest.mark.parametrize(
    "text",
    [
        f"{TEXT}:2026-11",  # the halves swapped
        TEXT,  # no label
        f"2026-11={TEXT}",
        f"2026-11:{TEXT[:-1]}",
        f"2026-11:{TEXT}A",
        f"2026-11:{TEXT[:-1]}!",
        f"2026-11:{TEXT[:20]} {TEXT[20:]}",
        f"{TEXT} {TEXT}:{TEXT}",
        f"2026 11:{TEXT}",
        f"2026-11:{SECRET.hex()}",
        f"2026-11:é{TEXT[1:]}",
        "",
    ],
)
def test_a_text_that_is_no_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Key.from_text(text)

    assert_no_secret(caught.value)


@pytest.mark.parametrize("show", [repr, str, lambda key: f"{key}", lambda key: f"{[key]} {(key,)!r}"])
def test_no_way_of_showing_a_key_shows_its_secret(show: Any) -> None:
    shown = show(Key(SECRET, "2026-11"))

    assert "Key('2026-11', id=f7239d75)" in shown
    assert TEXT not in shown
    assert SECRET.hex() not in shown
    assert repr(SECRET) not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_key_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="keys are not pickled") as caught:
        pickle.dumps({"key": Key(SECRET)}, protocol)

    assert_no_secret(caught.value)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_key_is_the_key(duplicate: Any) -> None:
    key = Key(SECRET, "2026-11")

    assert duplicate(key) is key


def assert_no_secret(error: BaseException) -> None:
    linked: BaseException | None = error
    while linked is not None:
        for text in (str(linked), repr(linked), repr(vars(linked))):
            assert TEXT[:20] not in text
            assert SECRET.hex() not in text
            assert repr(SECRET)[2:-1] not in text
        linked = linked.__cause__ or linked.__context__
