"""The sources of an installed framework, for its own tests."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(tempfile.gettempdir()) / "miniagent-store-sdists"


def fetch_sdist(package: str, release: str | None = None) -> Path:
    """The unpacked sdist of `package`, in the installed version unless another is named.

    Fetched by pip once, and kept in the folder for temporary files.
    """
    wanted = f"{package}=={release or version(package)}"
    folder = FOLDER / wanted
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=_made(FOLDER)) as scratch:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            # Only looked into, but pip asks what builds it for its name; that may come as a wheel.
            pip += ["--no-deps", "--no-binary", package, "--dest", scratch, wanted]
            subprocess.run(pip, check=True, timeout=300)
            (archive,) = Path(scratch).glob("*.tar.gz")
            with tarfile.open(archive) as opened:
                opened.extractall(Path(scratch) / "unpacked", filter="data")
            (unpacked,) = (Path(scratch) / "unpacked").iterdir()
            try:
                unpacked.rename(folder)
            except OSError:
                # Another process was faster.
                if not folder.exists():
                    raise
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
