"""How many commits there were, second by second and session by session; a minute of them is kept."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

WINDOW = 60
# Sessions of which it is known how far they were; the others' first change counts as one commit.
KNOWN = 50_000


@dataclass(slots=True)
class _Second:
    at: int
    commits: Counter[str] = field(default_factory=Counter)


class Activity:
    """Commits of the last minute, from versions: each commit raises its session's by one."""

    def __init__(self) -> None:
        self._seconds: deque[_Second] = deque()
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._began: float | None = None

    def note(self, session_id: str, version: int | None, now: float) -> None:
        """A session changed.

        Args:
            session_id: which.
            version: what it is at now; None where it is gone.
            now: seconds, by any clock that only goes forward.
        """
        before = self._versions.pop(session_id, None)
        if version is None:
            commits = 1
        else:
            # A lower version is another life of the session.
            commits = version - before if before is not None and version >= before else 1
            self._versions[session_id] = version
            if len(self._versions) > KNOWN:
                self._versions.popitem(last=False)
        if commits:
            self._second(now).commits[session_id] += commits

    def rates(self, now: float) -> list[int]:
        """Commits in each of the last seconds, the newest last; the one that runs is left out."""
        counts = {each.at: each.commits.total() for each in self._seconds}
        whole = int(now)
        first = max(whole - WINDOW, int(self._begin(now)))
        return [counts.get(at, 0) for at in range(first, whole)]

    def busiest(self, most: int, now: float) -> list[tuple[str, int]]:
        """Sessions with most commits in the last minute, and how many."""
        self._forget(now)
        total: Counter[str] = Counter()
        for each in self._seconds:
            total.update(each.commits)
        return total.most_common(most)

    def _begin(self, now: float) -> float:
        if self._began is None:
            self._began = now
        return self._began

    def _second(self, now: float) -> _Second:
        self._begin(now)
        self._forget(now)
        if not self._seconds or self._seconds[-1].at != int(now):
            self._seconds.append(_Second(int(now)))
        return self._seconds[-1]

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0].at < int(now) - WINDOW:
            self._seconds.popleft()
