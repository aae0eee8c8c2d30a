"""Who brought what: plugins found by entry points, loaded lazily, broken ones reported."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from miniagent_store import hookspecs
from miniagent_store.codec.envelope import PRIVATE_IDS, codec_id
from miniagent_store.errors import ConfigurationError, PluginError
from miniagent_store.hookspecs import PROJECT
from miniagent_store.keys.provider import KeyProvider
from miniagent_store.operation import Operation
from miniagent_store.options import nearest
from miniagent_store.provider import Provider, load_provider
from miniagent_store.serializer import Layer, LegacyReader, Serializer

CODECS = ("serializer", "layer")


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin as `miniagent-store plugins` shows it.

    Attributes:
        name: of its entry point.
        distribution: name and version of the package that brought it; "" if it was registered in code.
        provides: pairs of kind and provider.
        observes: names of the observing hooks it implements.
        problem: why it is not in use, "" if it is.
    """

    name: str
    distribution: str
    provides: tuple[tuple[str, Provider[Any]], ...] = ()
    observes: tuple[str, ...] = ()
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.name!r}" + (f" of {self.distribution}" if self.distribution else "")


class Plugins:
    """All plugins of a process, or of one store if it was given some of its own.

    Args:
        extra: plugin objects to register besides those found by entry points.
    """

    def __init__(self, extra: tuple[Any, ...] = ()) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._infos: list[PluginInfo] = []
        self._providers: dict[str, list[tuple[PluginInfo, Provider[Any]]]] = {
            kind: [] for kind in hookspecs.providing_hooks().values()
        }
        self._loaded: dict[tuple[str, str], Any] = {}
        for point in sorted(entry_points(group=PROJECT), key=lambda point: point.name):
            self._add_entry_point(point)
        for plugin in extra:
            self._add(plugin, getattr(plugin, "__name__", type(plugin).__name__), "")
        self._extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        return (Plugins, (self._extra,)) if self._extra else (shared_plugins, ())

    def _add_entry_point(self, point: EntryPoint) -> None:
        distribution = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        try:
            plugin = point.load()
        except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises must not take us down
            self._broken(point.name, distribution, error)
        else:
            self._add(plugin, point.name, distribution)

    def _add(self, plugin: Any, name: str, distribution: str) -> None:
        try:
            self._manager.register(plugin, name=f"{name}#{len(self._infos)}")
            provides = tuple(self._provided_by(plugin))
        except Exception as error:  # noqa: BLE001 - as above
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            self._broken(name, distribution, error)
            return
        observes = tuple(
            hook
            for hook in vars(hookspecs)
            if hook in self._hooks() and hookspecs.is_observer(hook, plugin)
        )
        info = PluginInfo(name, distribution, provides, observes)
        self._infos.append(info)
        for kind, provider in provides:
            self._providers[kind].append((info, provider))

    def _hooks(self) -> set[str]:
        return {name for name in vars(self._manager.hook) if not name.startswith("_")}

    def _provided_by(self, plugin: Any) -> Iterator[tuple[str, Provider[Any]]]:
        for hook, kind in hookspecs.providing_hooks().items():
            function: Any = getattr(plugin, hook, None)
            for provider in function() if function is not None else ():
                if not isinstance(provider, Provider):
                    raise PluginError(
                        f"{hook}() must return Provider values, not {type(provider).__name__}"
                    )
                if kind in CODECS:
                    # What could never be used is told now, not at a first value.
                    codec_id(provider.name, provider.wire_id)
                yield kind, provider

    def _broken(self, name: str, distribution: str, error: Exception) -> None:
        problem = f"{type(error).__name__}: {error}"
        info = PluginInfo(name, distribution, problem=problem)
        warnings.warn(
            f"miniagent-store: plugin {info} is broken and not used ({problem}); update or uninstall it",
            RuntimeWarning,
            stacklevel=4,
        )
        self._infos.append(info)

    def infos(self) -> list[PluginInfo]:
        """All plugins, broken ones included."""
        return list(self._infos)

    def implementations(self, hook: str) -> list[Any]:
        """The functions to call for an observing hook, in pluggy's order."""
        caller = getattr(self._manager.hook, hook)
        return [caller] if caller.get_hookimpls() else []

    def observers(self) -> list[Callable[[Operation], Any]]:
        """The functions of the hook `observe`, one by one: what one raises must not keep out the others."""
        return [impl.function for impl in self._manager.hook.observe.get_hookimpls()]

    def providers(self, kind: str) -> list[Provider[Any]]:
        """Everything of a kind: "backend", "serializer", "layer" or "model"."""
        return [provider for _, provider in self._providers[kind]]

    def find(self, kind: str, name: str) -> Provider[Any]:
        """The provider of this name.

        Raises:
            ConfigurationError: there is none; names the valid ones and the nearest.
            PluginError: two plugins bring it; names both.
        """
        found = [(plugin, each) for plugin, each in self._providers[kind] if each.name == name]
        if not found:
            raise ConfigurationError(self._unknown(kind, name))
        return self._only(kind, repr(name), found)

    # What a codec asks for (`miniagent_store.codec.registry.CodecRegistry`)

    def serializer(self, name: str) -> Provider[Serializer]:
        """The serializer of this name; raises as `find`."""
        return self.find("serializer", name)

    def layer(self, name: str) -> Provider[Layer]:
        """The layer of this name; raises as `find`."""
        return self.find("layer", name)

    def legacy_reader(self, name: str) -> Provider[LegacyReader]:
        """The reader of this name for ``legacy=``; raises as `find`."""
        return self.find("legacy reader", name)

    def key_provider(self, name: str) -> KeyProvider:
        """The key service of this name; raises as `load`."""
        provider: KeyProvider = self.load("key provider", name)()
        return provider

    def by_wire_id(self, wire_id: int) -> Provider[Any] | None:
        """A serializer or layer that reads this id on the wire; None if there is none.

        Raises:
            PluginError: two plugins bring it; names both.
        """
        found = [
            (plugin, each)
            for kind in CODECS
            for plugin, each in self._providers[kind]
            if each.wire_id == wire_id
        ]
        # Two implementations of one wire format may come from one plugin (json and orjson).
        return self._only("codec", f"wire id 0x{wire_id:02X}", found) if found else None

    def by_wire_name(self, name: str) -> Provider[Any] | None:
        """The named codec of this name, a serializer or layer; None if there is none.

        One that was given a private wire id later is still found by the name under which it wrote before.

        Raises:
            PluginError: two plugins bring it; names both.
        """
        found = [
            (plugin, each)
            for kind in CODECS
            for plugin, each in self._providers[kind]
            if each.name == name and (each.wire_id is None or each.wire_id >= PRIVATE_IDS)
        ]
        return self._only("named codec", repr(name), found) if found else None

    def load(self, kind: str, name: str) -> Any:
        """Load what the provider of this name brings; once.

        Raises:
            ConfigurationError, PluginError: as `find`.
            MissingExtraError: a package that it needs is not installed.
        """
        if (kind, name) not in self._loaded:
            self._loaded[kind, name] = load_provider(kind, self.find(kind, name))
        return self._loaded[kind, name]

    def _only(self, kind: str, what: str, found: list[tuple[PluginInfo, Provider[Any]]]) -> Provider[Any]:
        # By identity: two packages may call their entry points alike.
        plugins = {id(info): info for info, _ in found}
        if len(plugins) > 1:
            names = " and ".join(sorted(map(str, plugins.values())))
            raise PluginError(f"{kind} {what} is brought by two plugins: {names}; uninstall one of them")
        return found[0][1]

    def _unknown(self, kind: str, name: str) -> str:
        valid = sorted({each.name for each in self.providers(kind)})
        broken = [info.name for info in self._infos if info.problem]
        hint = f"; broken plugins: {', '.join(broken)}" if broken else ""
        word = "URL scheme" if kind == "backend" else kind
        if kind in CODECS:
            hint += "; if a plugin brings it, install that"
        return f"unknown {word} {name!r}{nearest(name, valid)} (valid: {', '.join(valid) or 'none'}){hint}"


_shared: Plugins | None = None


def shared_plugins() -> Plugins:
    """The plugins of this process, looked for once."""
    global _shared
    if _shared is None:
        _shared = Plugins()
    return _shared
