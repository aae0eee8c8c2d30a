"""Several keys: which one writes, where they come from, and how running processes follow a file."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from miniagent_store.errors import ConfigurationError, KeyNotFoundError
from miniagent_store.keys import Key, Keyring
from miniagent_store.keys.key_file import add_key, make_primary
from miniagent_store.keys.keyring import LOOK_AGAIN
from miniagent_store.serializer import Context

OLD, NEW, OTHER = (
    Key(bytes(range(n, n + 32)), label) for n, label in ((0, "old"), (1, "new"), (2, "other"))
)
CONTEXT = Context("app", "session", "s1", "metadata")


def write(path: Path, *keys: Key, mode: int = 0o600) -> Path:
    path.write_text("".join(f"{key.to_text()}\n" for key in keys))
    path.chmod(mode)
    return path


def replace(path: Path, *keys: Key) -> None:
    """As an editor or a deployment does it: a new file, renamed over the old one."""
    write(path.with_suffix(".new"), *keys).rename(path)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_first_key_writes_and_all_of_them_read() -> None:
    ring = Keyring([NEW, OLD])

    assert ring.sealing_key(CONTEXT) is NEW
    assert [ring.opening_key(key.id, CONTEXT) for key in (NEW, OLD)] == [NEW, OLD]
    assert ring.keys == (NEW, OLD)
    assert len(ring) == 2
    assert OLD.id in ring
    assert OTHER.id not in ring


def test_the_writing_key_is_chosen_by_its_label() -> None:
    ring = Keyring([OLD, NEW], primary="new")

    assert ring.primary is NEW
    with pytest.raises(ConfigurationError, match="labelled 'newer'; there are old, new"):
        Keyring([OLD, NEW], primary="newer")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([], "at least one key"),
        ([OLD, OLD], "each key and each label once"),
        ([OLD, Key(OLD.secret, "twin")], "each key and each label once"),
        ([OLD, Key(NEW.secret, "old")], "each key and each label once"),
    ],
)
def test_a_keyring_that_would_be_ambiguous_is_refused(keys: list[Key], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Keyring(keys)


def test_an_unknown_key_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyNotFoundError) as caught:
        Keyring([NEW, OLD]).find(OTHER.id)

    assert caught.value.key_id == OTHER.id.hex()
    assert caught.value.known == (NEW.id.hex(), OLD.id.hex())


def test_a_keyring_shows_labels_and_no_secrets() -> None:
    ring = Keyring([NEW, OLD])

    assert repr(ring) == "Keyring(primary='new', others=['old'])"
    for shown in (repr(ring), str(ring), repr(vars(ring))):
        assert not any(secret in shown for key in ring.keys for secret in spellings(key))
    with pytest.raises(TypeError, match="keys are not pickled"):
        pickle.dumps(ring)


# -- from the environment ------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", "\n", " , ", ",,\n", "\r\n"])
def test_keys_are_read_from_the_environment(separator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEYS", f"{NEW.to_text()}{separator}{OLD.to_text()}{separator}")

    ring = Keyring.from_env("SOME_KEYS")

    assert ring.primary == NEW
    assert [key.label for key in ring.keys] == ["new", "old"]
    assert ring.reload() is False


@pytest.mark.parametrize("held", [None, "", "  ", ",", "# nothing"])
def test_a_variable_without_keys_says_how_to_make_one(
    held: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEYS", raising=False)
    if held is not None:
        monkeypatch.setenv("SOME_KEYS", held)

    with pytest.raises(ConfigurationError, match="variable SOME_KEYS holds no keys; make one with"):
        Keyring.from_env("SOME_KEYS")


def swapped(key: Key) -> str:
    return ":".join(reversed(key.to_text().split(":")))


BROKEN = [
    swapped(OLD),
    OLD.to_text().split(":")[1],
    OLD.to_text() + "AAAA",
    OLD.to_text().replace(":", " "),
    f"{NEW.to_text()}\n{swapped(OLD)}",
    f"{OLD.to_text()}\n{OLD.to_text()}",
    f"{OLD.to_text()} {NEW.to_text()}",
]


@pytest.mark.parametrize("text", BROKEN)
def test_broken_keys_are_refused_and_not_shown(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEYS", text)
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(0o600)

    for read in (lambda: Keyring.from_env("SOME_KEYS"), lambda: Keyring.from_file(path)):
        with pytest.raises(ConfigurationError) as caught:
            read()

        assert caught.value.__cause__ is caught.value.__context__ is None
        for shown in (str(caught.value), repr(caught.value), repr(vars(caught.value))):
            assert not any(secret in shown for key in (OLD, NEW) for secret in spellings(key))


def spellings(key: Key) -> list[str]:
    """Parts of a secret that must not be seen."""
    text = key.to_text().split(":")[1]
    return [text[:16], text[-16:], key.secret.hex()[:16], repr(key.secret)[2:20]]


# -- from a file ---------------------------------------------------------------------------------------


def test_a_file_has_a_key_a_line_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    lines = ["# of the shop, größer", "", f"{NEW.to_text()}  # since May", f"  {OLD.to_text()}\r", "#x:y"]
    path.write_text("\n".join(lines))
    path.chmod(0o600)

    ring = Keyring.from_file(path)

    assert ring.primary == NEW
    assert ring.keys == (NEW, OLD)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o602, 0o610, 0o777])
def test_a_file_that_others_may_touch_is_refused(mode: int, tmp_path: Path) -> None:
    path = write(tmp_path / "keys", OLD, mode=mode)

    with pytest.raises(ConfigurationError, match=f"others may read the key file {path}; run: chmod 600"):
        Keyring.from_file(path)


def test_a_file_that_is_missing_or_a_folder_or_empty_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read \(No such file"):
        Keyring.from_file(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match=r"cannot be read \(Is a directory"):
        Keyring.from_file(tmp_path)
    with pytest.raises(ConfigurationError, match="holds no keys; make one with"):
        Keyring.from_file(write(tmp_path / "empty"))


@pytest.mark.parametrize("change", [replace, write])
def test_a_running_process_follows_the_file(change: Callable[..., None], tmp_path: Path) -> None:
    ring = Keyring.from_file(write(tmp_path / "keys", OLD))
    assert ring.primary == OLD

    change(tmp_path / "keys", NEW, OLD)

    wait_for(lambda: ring.primary == NEW)
    assert ring.keys == (NEW, OLD)


def test_a_look_that_was_lately_is_not_repeated(tmp_path: Path) -> None:
    ring = Keyring.from_file(write(tmp_path / "keys", OLD))
    replace(tmp_path / "keys", NEW)

    ring._looked = time.monotonic() + 1000
    assert ring.primary == OLD
    ring._looked = time.monotonic() - LOOK_AGAIN
    assert ring.primary == NEW


@pytest.mark.parametrize("change", [replace, write])
def test_a_missing_key_is_looked_for_in_the_file_at_once(
    change: Callable[..., None], tmp_path: Path
) -> None:
    ring = Keyring.from_file(write(tmp_path / "keys", OLD))

    change(tmp_path / "keys", OLD, NEW)

    assert ring.opening_key(NEW.id, CONTEXT) == NEW


def test_a_key_taken_out_of_the_file_is_gone_after_the_next_look(tmp_path: Path) -> None:
    ring = Keyring.from_file(write(tmp_path / "keys", NEW, OLD))
    replace(tmp_path / "keys", NEW)

    assert ring.reload() is True
    assert ring.reload() is False
    with pytest.raises(KeyNotFoundError):
        ring.find(OLD.id)


def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", OLD)
    before = os.stat(path)
    ring = Keyring.from_file(path)

    # The clock of a file system ticks some milliseconds apart.
    wait_for(lambda: os.stat(write(tmp_path / "clock", OLD)).st_ctime_ns > before.st_ctime_ns)
    write(path, NEW)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert os.stat(path).st_size == before.st_size
    assert ring.reload() is True
    assert ring.primary == NEW


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text(NEW.to_text()[:30]),
        lambda path: path.write_text(f"{NEW.to_text()}\n{OLD.to_text()[:-1]}"),
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(os.urandom(500)),
        lambda path: path.unlink(),
        lambda path: write(path, NEW, mode=0o644),
        lambda path: write(path, NEW, NEW),
    ],
)
def test_a_file_that_is_half_written_or_gone_keeps_the_old_keys(
    spoil: Callable[[Path], object], tmp_path: Path
) -> None:
    path = write(tmp_path / "keys", OLD)
    ring = Keyring.from_file(path)

    spoil(path)

    assert ring.reload() is False
    assert (ring.primary, ring.keys) == (OLD, (OLD,))
    with pytest.raises(KeyNotFoundError):
        ring.find(NEW.id)
    write(path, NEW, OLD)
    assert ring.reload() is True
    assert ring.primary == NEW


# -- changing a file -----------------------------------------------------------------------------------


def test_keys_are_added_and_made_primary_without_losing_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"

    assert add_key(path, OLD).keys == (OLD,)
    path.write_text(f"# of the shop\n{path.read_text()}")
    ring = Keyring.from_file(path)
    assert add_key(path, NEW).primary == OLD
    assert ring.opening_key(NEW.id, CONTEXT) == NEW
    assert make_primary(path, "new").primary == NEW

    assert os.stat(path).st_mode & 0o777 == 0o600
    assert "# of the shop\n" in path.read_text()
    assert os.listdir(tmp_path) == ["keys"]


def test_a_change_that_cannot_be_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", OLD)
    before = path.read_bytes()

    with pytest.raises(ConfigurationError, match="each key and each label once"):
        add_key(path, Key(NEW.secret, "old"))
    with pytest.raises(ConfigurationError, match="labelled 'none'; there are old"):
        make_primary(path, "none")
    with pytest.raises(ConfigurationError, match=r"cannot be written \(No such file"):
        add_key(tmp_path / "missing" / "keys", OLD)

    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["keys"]
