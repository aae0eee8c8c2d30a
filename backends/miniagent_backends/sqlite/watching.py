"""Who is to be woken by what."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from miniagent_store.backend import Subscription, Topic

Wake = tuple[str, str, str, str]  # namespace, and scope, name and owner of a `Topic`
EVERYTHING: Wake = ("", "", "", "")
# How often the file is looked at for changes by other processes, while someone watches.
POLL_SECONDS = 0.02


class Subscriptions:
    """Subscriptions by topic. Used in the event loop; the writer's thread looks at `active` only."""

    def __init__(self) -> None:
        self._by_topic: dict[Wake, set[Subscription]] = {}
        self.active: bool = False

    def add(self, topic: Topic, namespace: str) -> Subscription:
        subscription = Subscription()
        self._by_topic.setdefault(_wake_of(topic, namespace), set()).add(subscription)
        self.active = True
        return subscription

    def leases(self) -> set[tuple[str, str, str]]:
        """Namespace, scope and name of the leases that someone stands in line for."""
        return {(namespace, scope, name) for namespace, scope, name, owner in self._by_topic if owner}

    def remove(self, topic: Topic, subscription: Subscription, namespace: str) -> None:
        key = _wake_of(topic, namespace)
        subscribed = self._by_topic.get(key, set())
        subscribed.discard(subscription)
        if not subscribed:
            self._by_topic.pop(key, None)
        self.active = bool(self._by_topic)

    def wake(self, woken: Iterable[Wake]) -> None:
        """Wake the subscriptions of `woken`; `EVERYTHING` wakes all but those who stand in line."""
        if not self._by_topic:
            return
        for key in set(woken):
            if key == EVERYTHING:
                self._wake_all(lambda each: not each[3])
            else:
                for subscription in self._by_topic.get(key, ()):
                    subscription.wake()

    def _wake_all(self, wanted: Callable[[Wake], bool] = lambda each: True) -> None:
        for key, subscriptions in self._by_topic.items():
            for subscription in subscriptions if wanted(key) else ():
                subscription.wake()

    def clear(self) -> None:
        """Wake all for the last time, so that no one waits for a store that is closed."""
        self._wake_all()
        self._by_topic.clear()
        self.active = False


def _wake_of(topic: Topic, namespace: str) -> Wake:
    return (namespace, topic.scope, topic.name, topic.owner)
