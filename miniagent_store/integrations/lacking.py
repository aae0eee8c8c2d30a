"""What an integration says where its framework is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from miniagent_store.errors import MissingExtraError


@contextmanager
def requires(package: str, *, extra: str) -> Iterator[None]:
    """Turn an import that fails for want of `package` into an error that says how to install it.

    Args:
        package: the distribution's name.
        extra: the extra of miniagent-store that installs it.

    Raises:
        MissingExtraError: the import inside failed since a module is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = __name__.rpartition(".")[0]
        if error.name is not None and error.name.startswith(module.partition(".")[0]):
            raise
        raise MissingExtraError(
            f"{module}.{extra.replace('-', '_')}", package=package, extra=extra
        ) from error
