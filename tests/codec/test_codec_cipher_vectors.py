"""The ciphers give what their standards publish, and refuse what differs in one bit."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from miniagent_serializers.aead_layers import AesGcmLayer, AesGcmSivLayer, ChaChaLayer

SUNSCREEN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    b"sunscreen would be it."
)
SIV_KEY, SIV_NONCE = "01" + "00" * 31, "03" + "00" * 11
BLOCKS = [f"{number:02x}" + "00" * 15 for number in range(5)]

# (layer, key, nonce, associated data, plaintext, ciphertext and tag)
VECTORS = [
    # McGrew and Viega, The Galois/Counter Mode of Operation, test cases 13, 14 and 16.
    (AesGcmLayer, "00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    (
        AesGcmLayer,
        "00" * 32,
        "00" * 12,
        "",
        "00" * 16,
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
    ),
    (
        AesGcmLayer,
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
    # NIST CAVP, gcmEncryptExtIV256.
    (
        AesGcmLayer,
        "83688deb4af8007f9b713b47cfa6c73e35ea7a3aa4ecdb414dded03bf7a0fd3a",
        "0b459724904e010a46901cf3",
        "794a14ccd178c8ebfd1379dc704c5e208f9d8424",
        "33d893a2114ce06fc15d55e454cf90c3",
        "cc66bee423e3fcd4c0865715e95866960fb291bd3dba94a1dfd8b286cfb97ac5",
    ),
    # RFC 8439 section 2.8.2.
    (
        ChaChaLayer,
        bytes(range(0x80, 0xA0)).hex(),
        "070000004041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        SUNSCREEN.hex(),
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b6116"
        "1ae10b594f09e26a7e902ecbd0600691",
    ),
    # RFC 8452 appendix C.2.
    (AesGcmSivLayer, SIV_KEY, SIV_NONCE, "", "", "07f5f4169bbf55a8400cd47ea6fd400f"),
    (
        AesGcmSivLayer,
        SIV_KEY,
        SIV_NONCE,
        "",
        "0100000000000000",
        "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28",
    ),
    (
        AesGcmSivLayer,
        SIV_KEY,
        SIV_NONCE,
        "",
        "".join(BLOCKS[1:]),
        "c2d5160a1f8683834910acdafc41fbb1632d4a353e8b905ec9a5499ac34f96c7"
        "e1049eb080883891a4db8caaa1f99dd004d80487540735234e3744512c6f90ce"
        "112864c269fc0d9d88c61fa47e39aa08",
    ),
    (
        AesGcmSivLayer,
        SIV_KEY,
        SIV_NONCE,
        "01",
        "0200000000000000",
        "1de22967237a813291213f267e3b452f02d01ae33e4ec854",
    ),
    (
        AesGcmSivLayer,
        SIV_KEY,
        SIV_NONCE,
        "010000000000000000000000000000000200",
        "0300000000000000000000000000000004000000",
        "43dd0163cdb48f9fe3212bf61b201976067f342bb879ad976d8242acc188ab59cabfe307",
    ),
    (
        AesGcmSivLayer,
        "3c535de192eaed3822a2fbbe2ca9dfc88255e14a661b8aa82cc54236093bbc23",
        "688089e55540db1872504e1c",
        "734320ccc9d9bbbb19cb81b2af4ecbc3e72834321f7aa0f70b7282b4f33df23f167541",
        "ced532ce4159b035277d4dfbb7db62968b13cd4eec",
        "626660c26ea6612fb17ad91e8e767639edd6c9faee9d6c7029675b89eaf4ba1ded1a286594",
    ),
]


def read(vector: tuple[Any, ...]) -> tuple[Any, bytes, bytes, bytes, bytes]:
    layer, key, *rest = vector
    nonce, place, plain, sealed = map(bytes.fromhex, rest)
    return layer().make(bytes.fromhex(key)), nonce, place, plain, sealed


@pytest.mark.parametrize("vector", VECTORS)
def test_a_published_vector_is_met(vector: tuple[Any, ...]) -> None:
    cipher, nonce, place, plain, sealed = read(vector)

    assert cipher.encrypt(nonce, plain, place) == sealed
    assert cipher.decrypt(nonce, sealed, place) == plain


@pytest.mark.parametrize("vector", VECTORS)
def test_what_differs_from_a_vector_is_refused(vector: tuple[Any, ...]) -> None:
    cipher, nonce, place, _, sealed = read(vector)
    other_key = vector[0]().make(bytes(range(32)))

    def refused(cipher: Any, nonce: bytes, sealed: bytes, place: bytes) -> None:
        with pytest.raises(InvalidTag):
            cipher.decrypt(nonce, sealed, place)

    refused(other_key, nonce, sealed, place)
    for changed in flips(sealed):
        refused(cipher, nonce, changed, place)
    for changed in flips(nonce):
        refused(cipher, changed, sealed, place)
    for changed in (*flips(place), place + b"\x00", place[:-1] if place else b"\x01"):
        refused(cipher, nonce, sealed, changed)
    for size in range(len(sealed)):
        refused(cipher, nonce, sealed[:size], place)
    for tag in (bytes(16), b"\xff" * 16, sealed[:-17:-1]):
        refused(cipher, nonce, sealed[:-16] + tag, place)
    refused(cipher, nonce, sealed + b"\x00", place)


def flips(data: bytes) -> list[bytes]:
    """`data` with each of its bits changed."""
    whole, size = int.from_bytes(data, "big"), len(data)
    return [(whole ^ 1 << bit).to_bytes(size, "big") for bit in range(size * 8)]
