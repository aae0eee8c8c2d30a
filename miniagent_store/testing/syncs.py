"""How often processes make their writes last: calls of fsync and fdatasync, counted on Linux.

    with SyncCounter() as syncs:
        process = subprocess.Popen(syncs.command([sys.executable, …]), env=syncs.environment())
        process.wait()
        syncs.count()

A library that is loaded before all others stands in for the two calls, notes each in a file and hands it
on; it is compiled by the machine's C compiler. Where there is none, the processes run under strace.
Neither needs rights.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence

from miniagent_store.testing.startable import Startable

# One byte a call: the size of the file is the count, whoever wrote, and however they ended.
_LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int hand_on(const char *name, int descriptor) {
    const char *path = getenv("SYNC_COUNT_FILE");
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (file < 0 || write(file, ".", 1) != 1) abort();
    close(file);
    int (*next)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
    return next(descriptor);
}

int fsync(int descriptor) { return hand_on("fsync", descriptor); }
int fdatasync(int descriptor) { return hand_on("fdatasync", descriptor); }
"""
_COMPILERS = ("cc", "gcc", "clang")


class SyncCounter(Startable):
    """Counts for the processes that are started with its command and environment.

    Attributes:
        how: "a preloaded library" or "strace".
    """

    def __init__(self, how: str | None = None) -> None:
        self.how: str | None = how or next(iter(ways()), None)

    def start(self) -> None:
        """
        Raises:
            RuntimeError: there is neither a C compiler nor strace.
        """
        if self.how is None:
            raise RuntimeError("fsyncs cannot be counted here: install a C compiler or strace (Linux)")
        self._folder = tempfile.TemporaryDirectory(prefix="syncs-")
        self._notes = os.path.join(self._folder.name, "notes")
        self._library = os.path.join(self._folder.name, "count.so")
        with open(self._notes, "wb"):
            pass
        if self.how != "strace":
            _compile(self._library)

    def stop(self) -> None:
        if self.how is not None:
            self._folder.cleanup()

    def command(self, command: Sequence[str]) -> list[str]:
        """What to run in the place of `command`."""
        if self.how != "strace":
            return list(command)
        options = ["-f", "-A", "-qq", "-e", "trace=fsync,fdatasync", "-o", self._notes]
        return ["strace", *options, *command]

    def environment(self) -> dict[str, str]:
        """What to run it in."""
        if self.how == "strace":
            return dict(os.environ)
        return {**os.environ, "LD_PRELOAD": self._library, "SYNC_COUNT_FILE": self._notes}

    def count(self) -> int:
        """Calls so far, of all the processes."""
        if self.how != "strace":
            return os.path.getsize(self._notes)
        with open(self._notes, encoding="ascii") as notes:
            return sum("sync(" in line for line in notes)  # one that was interrupted is "resumed" later


def ways() -> list[str]:
    """How calls can be counted here; the best first."""
    if os.uname().sysname != "Linux":
        return []
    found = ["a preloaded library"] if any(map(shutil.which, _COMPILERS)) else []
    return [*found, "strace"] if shutil.which("strace") else found


def _compile(library: str) -> None:
    compiler = next(name for name in _COMPILERS if shutil.which(name))
    command = [compiler, "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", library, "-ldl"]
    subprocess.run(command, input=_LIBRARY, text=True, check=True, timeout=60)
