"""What servers, groups of them and proxies have in common: a `with` statement runs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Startable(ABC):
    """Started by a `with` statement, and stopped at its end; also where it did not start."""

    @abstractmethod
    def start(self) -> None:
        """Start; returns when it can be used."""

    @abstractmethod
    def stop(self) -> None:
        """Stop, and leave nothing behind; may be called twice."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()
