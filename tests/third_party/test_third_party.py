"""What a stranger's package can do: installed by pip, found by entry points, used by URL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parent
SUITE = """\
import pytest
from miniagent_store.testing import StoreConformance
class TestFolder(StoreConformance):
    @pytest.fixture
    def store_url(self, tmp_path): return f"folder://{tmp_path}"
"""
TALK = """\
import asyncio, sys
from miniagent_store import Message, open_store
async def main(url, text):
    async with open_store(url) as store:
        await store.append("s", Message.user(text), create=True)
        print([message.content for message in await store.history("s")])
asyncio.run(main(*sys.argv[1:]))
"""
WRITE = """\
import asyncio, sys
from miniagent_store import Message, open_store
async def main(url, count):
    async with open_store(url) as store:
        for number in range(int(count)):
            await store.append("s", Message.user(number), create=True)
            print(number, flush=True)
asyncio.run(main(*sys.argv[1:]))
"""
ENTRIES = """\
import asyncio, json, sys
from miniagent_store import open_store
async def main(url):
    async with open_store(url) as store:
        print(json.dumps([[each.seq, each.value["content"]] for each in await store.entries("s")]))
asyncio.run(main(*sys.argv[1:]))
"""
INFOS = """\
import json
from miniagent_store.plugins import Plugins
print(json.dumps([
    [info.name, info.distribution, [[kind, each.name] for kind, each in info.provides], info.problem]
    for info in Plugins().infos()
]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each package, installed by pip into a folder of its own."""
    where: dict[str, Path] = {}
    for name in ("folder", "broken", "clash", "codecs"):
        # Built from a copy, so that the source stays as it is.
        source = tmp_path_factory.mktemp("source") / name
        shutil.copytree(PACKAGES / f"miniagent-{name}", source)
        where[name] = tmp_path_factory.mktemp("installed")
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", *options, "--target", where[name], source],
            check=True,
            timeout=120,
        )
    return where


class Python:
    """Runs Python with some of the packages installed."""

    def __init__(self, folder: Path, *packages: Path) -> None:
        paths = [*map(str, packages), os.environ.get("PYTHONPATH", "")]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self._folder = folder

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def output(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout


@pytest.fixture
def with_folder(tmp_path: Path, installed: dict[str, Path]) -> Python:
    return Python(tmp_path, installed["folder"])


def test_a_strangers_url_works_and_keeps_what_was_said(with_folder: Python, tmp_path: Path) -> None:
    url = f"folder://{tmp_path}/sessions"

    first = with_folder.output("-c", TALK, url, "hello")
    second = with_folder.output("-c", TALK, url, "again")

    assert first.strip() == "['hello']"
    assert second.strip() == "['hello', 'again']"
    assert (tmp_path / "sessions").is_dir()


@pytest.mark.parametrize("scheme", ["folder", "sqlite"])
def test_a_strangers_serializer_works_by_url(with_folder: Python, tmp_path: Path, scheme: str) -> None:
    slashes = "//" if scheme == "folder" else "///"
    url = f"{scheme}:{slashes}{tmp_path}/place?serializer=zjson"

    with_folder.output("-c", TALK, url, "hello")

    assert with_folder.output("-c", TALK, url, "again").strip() == "['hello', 'again']"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"zjson" in written
    assert b"hello" not in written


def test_processes_share_a_folder_and_leave_no_hole(with_folder: Python, tmp_path: Path) -> None:
    url = f"folder://{tmp_path}/sessions"

    writers = [with_folder.start("-c", WRITE, url, "20") for _ in range(3)]

    for writer in writers:
        output, problem = writer.communicate(timeout=120)
        assert writer.returncode == 0, output + problem
    entries = json.loads(with_folder.output("-c", ENTRIES, url))
    assert [seq for seq, _ in entries] == list(range(1, 61))
    assert sorted(number for _, number in entries) == sorted([*range(20)] * 3)


def test_what_was_answered_survives_a_kill(with_folder: Python, tmp_path: Path) -> None:
    url = f"folder://{tmp_path}/sessions"
    writer = with_folder.start("-c", WRITE, url, "100000")
    assert writer.stdout is not None
    for _ in range(10):
        answered = int(writer.stdout.readline())

    writer.kill()

    # Not by communicate, which passes over the lines that readline has read ahead.
    answered = max([answered, *map(int, writer.stdout.read().split())])
    writer.communicate(timeout=60)
    entries = json.loads(with_folder.output("-c", ENTRIES, url))
    # One more may have been written than was answered.
    assert len(entries) - (answered + 1) in (0, 1)
    assert entries == [[number + 1, number] for number in range(len(entries))]
    with_folder.output("-c", WRITE, url, "1")


READ = """\
import asyncio, sys
from miniagent_store import open_store
from miniagent_store.errors import DecodeError
async def main(url):
    async with open_store(url) as store:
        try:
            print([message.content for message in await store.history("s")])
        except DecodeError as error:
            print(error)
asyncio.run(main(*sys.argv[1:]))
"""
LEGACY = """\
from miniagent_store.codec.chain import Chain
from miniagent_store.codec.codec import Codec
from miniagent_store.codec.unsafe import legacy_reader
from miniagent_store.plugins import Plugins
from miniagent_store.serializer import Context
plugins = Plugins()
readers = [legacy_reader(name, plugins, allow_pickle=False) for name in ("json", "csv")]
codec = Codec(Chain.parse("msgpack", plugins), registry=plugins, legacy=readers)
print([codec.decode(data, Context("", "kv", "k", "v")) for data in (b"#csv,a,b", b"[1]")])
"""


def test_a_class_with_a_name_and_two_functions_and_a_strangers_layer_work_by_url(
    tmp_path: Path, installed: dict[str, Path]
) -> None:
    python, place = Python(tmp_path, installed["codecs"]), tmp_path / "sessions.db"
    url = f"sqlite:///{place}?serializer=literal%2Blzma"
    long = "hello " * 200

    python.output("-c", TALK, url, long)

    assert python.output("-c", TALK, url, "again").strip() == str([long, "again"])
    written = b"".join(path.read_bytes() for path in tmp_path.glob("sessions.db*"))
    assert b"\xff\x07literal\xa0\x1f" in written
    assert b"hello hello" not in written


def test_a_value_whose_codec_is_not_installed_says_so_and_stays(
    tmp_path: Path, installed: dict[str, Path]
) -> None:
    with_codecs, without = Python(tmp_path, installed["codecs"]), Python(tmp_path)
    url = f"sqlite:///{tmp_path}/sessions.db"
    with_codecs.output("-c", TALK, f"{url}?serializer=literal", "hello")

    refusal = without.output("-c", READ, url)

    assert "unknown codec (literal); install the plugin that brings the codec named 'literal'" in refusal
    assert with_codecs.output("-c", READ, url).strip() == "['hello']"


def test_a_strangers_reader_of_old_values_is_found_by_name(
    tmp_path: Path, installed: dict[str, Path]
) -> None:
    output = Python(tmp_path, installed["codecs"]).output("-c", LEGACY)

    assert output.strip() == "[['a', 'b'], [1]]"


def test_the_command_shows_wire_ids_and_what_is_safe(tmp_path: Path, installed: dict[str, Path]) -> None:
    output = Python(tmp_path, installed["codecs"]).output("-m", "miniagent_store", "plugins")

    rows = {tuple(line.split()[3:7]) for line in output.splitlines()}
    assert ("serializer", "literal", "named", "yes") in rows
    assert ("layer", "lzma", "0xA0", "yes") in rows
    assert ("serializer", "pickle", "0x0F", "NO") in rows
    assert ("layer", "zstd", "0x11", "yes") in rows


def test_a_strangers_plugin_is_listed(with_folder: Python) -> None:
    infos = {name: rest for name, *rest in json.loads(with_folder.output("-c", INFOS))}

    assert infos["folder"] == [
        "miniagent-folder 0.1.0",
        [["backend", "folder"], ["serializer", "zjson"]],
        "",
    ]
    assert {"memory", "sqlite", "serializers"} < set(infos)


def test_the_command_lists_it_too(with_folder: Python) -> None:
    output = with_folder.output("-m", "miniagent_store", "plugins", "--json")

    assert "miniagent-folder" in output
    assert "zjson" in output
    json.loads(output)


@pytest.mark.parametrize(
    "some",
    [
        pytest.param(["-k", "append or turn"], id="some"),
        pytest.param([], id="all", marks=pytest.mark.slow),
    ],
)
def test_the_conformance_suite_runs_in_five_lines(
    with_folder: Python, tmp_path: Path, some: list[str]
) -> None:
    (tmp_path / "test_folder.py").write_text(SUITE)

    # Neither a configuration nor asyncio_mode=auto: what a stranger's project starts with.
    output = with_folder.output("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_folder.py", *some)

    assert " passed" in output
    assert "skipped" not in output


def test_a_broken_plugin_is_named_and_takes_nothing_down(
    tmp_path: Path, installed: dict[str, Path]
) -> None:
    python = Python(tmp_path, installed["broken"], installed["folder"])

    talked = python.run("-c", TALK, f"folder://{tmp_path}/sessions?serializer=zjson", "hello")
    infos = {name: rest for name, *rest in json.loads(python.output("-c", INFOS))}

    assert (talked.returncode, talked.stdout.strip()) == (0, "['hello']")
    for part in ("'broken'", "miniagent-broken 0.2.0", "written for another world"):
        assert part in talked.stderr
    assert infos["broken"][0] == "miniagent-broken 0.2.0"
    assert infos["broken"][2] == "RuntimeError: written for another world"


@pytest.mark.parametrize(
    ("url", "what", "rival"),
    [
        ("folder://{}/sessions", "'folder'", "'folder'"),
        ("memory://?serializer=zjson", "'zjson'", "'folder'"),
    ],
    ids=["scheme", "name"],
)
def test_a_clash_names_both_plugins(
    tmp_path: Path, installed: dict[str, Path], url: str, what: str, rival: str
) -> None:
    python = Python(tmp_path, installed["clash"], installed["folder"])

    talked = python.run("-c", TALK, url.format(tmp_path), "hello")
    unharmed = python.run("-c", TALK, "memory://", "hello")

    assert_clash(talked, what, rival)
    assert (unharmed.returncode, unharmed.stdout.strip()) == (0, "['hello']")


def test_a_wire_id_that_two_plugins_read_is_an_error_where_it_must_be_looked_up(
    tmp_path: Path, installed: dict[str, Path]
) -> None:
    python = Python(tmp_path, installed["clash"])
    url = f"sqlite:///{tmp_path}/sessions.db"
    # A store that names the codec leaves no doubt which one is meant.
    assert python.output("-c", TALK, f"{url}?serializer=msgpack", "hello").strip() == "['hello']"

    talked = python.run("-c", TALK, f"{url}?serializer=json", "again")

    assert_clash(talked, "0x02", "'serializers'")


def test_plugins_clash_though_their_entry_points_have_one_name(
    tmp_path: Path, installed: dict[str, Path]
) -> None:
    impostor = tmp_path / "impostor"
    shutil.copytree(installed["clash"], impostor)
    [points] = impostor.glob("*.dist-info/entry_points.txt")
    points.write_text(points.read_text().replace("clash =", "folder ="))

    for first, second in ((impostor, installed["folder"]), (installed["folder"], impostor)):
        talked = Python(tmp_path, first, second).run("-c", TALK, f"folder://{tmp_path}/sessions", "hello")
        assert_clash(talked, "miniagent-clash", "miniagent-folder")


def assert_clash(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Assert that a program ended with an error about a clash that names these."""
    assert done.returncode != 0, done.stdout
    last_line = done.stderr.strip().splitlines()[-1]
    for part in ("PluginError", "clash", *parts):
        assert part in last_line


def test_an_unknown_scheme_names_the_strangers_among_the_valid_ones(with_folder: Python) -> None:
    done = with_folder.run("-c", TALK, "foldr:///tmp/x", "hello")

    last_line = done.stderr.strip().splitlines()[-1]
    assert "ConfigurationError" in last_line
    assert "did you mean 'folder'?" in last_line


def test_the_serializer_takes_no_more_than_fifteen_lines() -> None:
    for path in ("folder/miniagent_folder/zjson.py", "codecs/miniagent_codecs/literal.py"):
        assert len((PACKAGES / f"miniagent-{path}").read_text().splitlines()) <= 15
