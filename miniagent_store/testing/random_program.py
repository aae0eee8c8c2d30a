"""A random program over every call that changes or reads sessions, run on several stores at once.

Whatever one store answers, the others must answer too: values and kinds of errors alike. Sizes, minted
ids and times differ by nature and are left aside; the order of listings is compared as a set, since two
stores do not commit in the same millisecond.

    from miniagent_store.testing.random_program import run_random_program

    def test_mine_behaves_like_memory():
        run_random_program(["memory://", "mine://somewhere"], steps=100, examples=20)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from miniagent_store.errors import StoreError
from miniagent_store.factory import open_store
from miniagent_store.testing.program_answers import answer_of, comparable
from miniagent_store.testing.program_arguments import (
    changes,
    logs,
    maybe_small,
    messages,
    names,
    prefixes,
    sessions,
    small,
    tag_sets,
    ttls,
    users,
    values,
)
from miniagent_store.testing.program_calls import (
    Call,
    appending,
    collect,
    counted,
    expecting,
    inspected,
    reading_after,
    replacing,
    run_batch,
    sweep_whole,
    use_collection,
    walk,
)
from miniagent_store.values import Position, Session


class RandomProgram(RuleBasedStateMachine):
    """Each rule is a call on all stores; subclass with `urls` set, or use `run_random_program`."""

    urls: Sequence[str] = ()

    def __init__(self) -> None:
        super().__init__()
        self.calls: int = 0
        self._runner = asyncio.Runner()
        self._stores = [open_store(url) for url in self.fresh_urls()]
        # What stores told earlier, for later calls; one value a store.
        self._positions: list[list[Position | None]] = []
        self._records: list[list[Session | None]] = []
        for store in self._stores:
            self._runner.run(store.open())

    def fresh_urls(self) -> Sequence[str]:
        """URLs of empty stores; called once a program."""
        return self.urls

    def teardown(self) -> None:
        for store in self._stores:
            self._runner.run(store.close())
        self._runner.close()

    def each(self, *calls: Call) -> list[Any]:
        """Make a call on all stores, given one for all or one for each, and compare the answers."""
        self.calls += 1
        told = [
            self._runner.run(answer_of(calls[index % len(calls)], store))
            for index, store in enumerate(self._stores)
        ]
        plain = [comparable(answer) for answer in told]
        for store, answer in zip(self._stores[1:], plain[1:], strict=True):
            assert answer == plain[0], f"{store.url} and {self._stores[0].url} differ"
        return [None if isinstance(answer, StoreError) else answer for answer in told]

    def remember(self, told: list[Any]) -> None:
        """Keep the sessions that were told, to be expected later."""
        if all(isinstance(each, Session) for each in told):
            self._records.append(told)
            self._positions.append([each.position for each in told])

    # Sessions

    @rule(
        id=sessions,
        user=users,
        tags=tag_sets,
        ttl=ttls,
        ok=st.booleans(),
        kind=st.sampled_from(["session", "session", "task"]),
    )
    def create(self, id: str, user: str | None, tags: Any, ttl: Any, ok: bool, kind: str) -> None:
        self.remember(
            self.each(
                lambda s: s.create(
                    id,
                    user_id=user,
                    agent=user,
                    tags=tags,
                    ttl=ttl,
                    exist_ok=ok,
                    kind=kind,
                    metadata={"by": id},
                )
            )
        )

    @rule(id=sessions, touch=st.booleans())
    def get(self, id: str, touch: bool) -> None:
        self.remember(self.each(lambda s: s.get(id, touch=touch)))

    @rule(user=users, tags=tag_sets, order=st.sampled_from(["-last_activity", "last_activity"]))
    def list(self, user: str | None, tags: Any, order: str) -> None:
        self.each(lambda s: walk(s, user_id=user, tags=tags, order=order))

    @rule(user=users, tags=tag_sets)
    def count_sessions(self, user: str | None, tags: Any) -> None:
        self.each(lambda s: s.count_sessions(user_id=user, tags=tags))

    @rule()
    def sweep(self) -> None:
        self.each(lambda s: sweep_whole(s))

    @rule(id=sessions, value=values, tags=tag_sets, expected=maybe_small)
    def update(self, id: str, value: Any, tags: Any, expected: int | None) -> None:
        self.each(lambda s: s.update(id, metadata={"v": value}, tags=tags, expected_version=expected))

    @rule(id=sessions, pick=small)
    def update_expecting_a_session(self, id: str, pick: int) -> None:
        if self._records:
            there = self._records[-1 - pick % len(self._records)]
            self.each(*(expecting(id, each) for each in there))

    @rule(id=sessions, ttl=ttls)
    def touch(self, id: str, ttl: Any) -> None:
        self.each(lambda s: s.touch(id, ttl))

    @rule(id=sessions, really=small)
    def delete(self, id: str, really: int) -> None:
        if really < 3:
            self.each(lambda s: s.delete(id))

    # Logs

    @rule(
        id=sessions,
        log=logs,
        some=st.lists(messages, max_size=3),
        expected=maybe_small,
        create=st.booleans(),
    )
    def append(self, id: str, log: str, some: Any, expected: int | None, create: bool) -> None:
        if expected is not None and expected > 3:
            expected = None
        self.remember(
            self.each(lambda s: s.append(id, *some, log=log, expected_version=expected, create=create))
        )

    @rule(id=sessions, some=st.lists(messages, min_size=1, max_size=12), log=logs)
    def append_more(self, id: str, some: Any, log: str) -> None:
        self.remember(self.each(lambda s: s.append(id, *some, log=log, create=True)))

    @rule(id=sessions, message=messages, create=st.booleans())
    def append_twice_as_one(self, id: str, message: Any, create: bool) -> None:
        ids = [store.new_commit_id() for store in self._stores]
        for _ in range(2):
            self.each(*(appending(id, message, create, each) for each in ids))

    @rule(id=sessions, what=changes, turn=st.booleans(), create=st.booleans(), fail=small)
    def batch(self, id: str, what: Any, turn: bool, create: bool, fail: int) -> None:
        self.each(lambda s: run_batch(s, id, what, turn, create, fail == 0))

    @rule(id=sessions, last=maybe_small, after=maybe_small, before=maybe_small, limit=maybe_small)
    def history(self, id: str, last: Any, after: Any, before: Any, limit: Any) -> None:
        self.each(lambda s: s.history(id, last=last, after=after, before=before, limit=limit))

    @rule(id=sessions, log=logs, last=maybe_small, limit=maybe_small)
    def entries(self, id: str, log: str, last: Any, limit: Any) -> None:
        self.each(lambda s: s.entries(id, log=log, last=last, limit=limit))

    @rule(id=sessions, log=logs, last=maybe_small, before=maybe_small, values=small)
    def inspect(self, id: str, log: str, last: Any, before: Any, values: int) -> None:
        self.each(lambda s: inspected(s, id, log, last, before, values))

    @rule(id=sessions, after=small)
    def replay(self, id: str, after: int) -> None:
        self.each(lambda s: collect(s, id, after))

    @rule(id=sessions, log=logs, after=small)
    def count(self, id: str, log: str, after: int) -> None:
        self.each(lambda s: s.count(id, log=log, after=after))

    @rule(id=sessions, last=maybe_small, state=st.sampled_from([None, True, "b", ["a", "ü"]]))
    def snapshot(self, id: str, last: Any, state: Any) -> None:
        self.each(lambda s: s.snapshot(id, last=last, logs=("messages", "events", "notes"), state=state))

    @rule(id=sessions, pick=small, whole=st.booleans())
    def read_after_a_position(self, id: str, pick: int, whole: bool) -> None:
        if self._positions:
            there = self._positions[-1 - pick % len(self._positions)]
            self.each(*(reading_after(id, each, whole) for each in there))

    @rule(id=sessions, n=small, log=logs)
    def pop(self, id: str, n: int, log: str) -> None:
        self.each(lambda s: s.pop(id, n, log=log))

    @rule(id=sessions, some=st.lists(messages, max_size=3), from_seq=small, log=logs)
    def replace(self, id: str, some: Any, from_seq: int, log: str) -> None:
        self.each(lambda s: s.replace(id, some, from_seq=from_seq, log=log))

    @rule(id=sessions, message=messages, pick=small)
    def replace_expecting_a_tail(self, id: str, message: Any, pick: int) -> None:
        if self._positions:
            there = self._positions[-1 - pick % len(self._positions)]
            self.each(*(replacing(id, message, each) for each in there))

    @rule(id=sessions, seq=small, log=logs)
    def redact(self, id: str, seq: int, log: str) -> None:
        self.each(lambda s: s.redact(id, seq, reason="asked", log=log))

    @rule(id=sessions, before=small, log=logs)
    def trim(self, id: str, before: int, log: str) -> None:
        self.each(lambda s: s.trim(id, before=before, log=log))

    @rule(id=sessions)
    def clear(self, id: str) -> None:
        self.each(lambda s: s.clear(id))

    @rule(id=sessions, to=small)
    def rewind(self, id: str, to: int) -> None:
        self.each(lambda s: s.rewind(id, to=to))

    @rule(id=sessions, new_id=sessions, upto=maybe_small)
    def fork(self, id: str, new_id: str, upto: int | None) -> None:
        self.each(lambda s: s.fork(id, new_id=new_id, upto=upto))

    # State

    @rule(id=sessions, name=names, value=values, if_version=maybe_small, ttl=ttls)
    def state_set(self, id: str, name: str, value: Any, if_version: Any, ttl: Any) -> None:
        self.each(lambda s: s.state(id).set(name, value, if_version=if_version, ttl=ttl))

    @rule(id=sessions, name=names, value=values)
    def state_set_if_absent(self, id: str, name: str, value: Any) -> None:
        self.each(lambda s: s.state(id).set_if_absent(name, value))

    @rule(id=sessions, name=names, default=values)
    def state_get(self, id: str, name: str, default: Any) -> None:
        self.each(lambda s: s.state(id).get(name, default))
        self.each(lambda s: s.state(id).get_many([name, "a", "none"]))

    @rule(id=sessions, name=names, if_version=maybe_small)
    def state_delete(self, id: str, name: str, if_version: Any) -> None:
        self.each(lambda s: s.state(id).delete(name, if_version=if_version))

    @rule(id=sessions, prefix=prefixes)
    def state_delete_prefix(self, id: str, prefix: str) -> None:
        self.each(lambda s: s.state(id).delete_prefix(prefix))

    @rule(id=sessions, name=names, delta=st.sampled_from([1, -5, 2**62, -(2**63)]))
    def state_add(self, id: str, name: str, delta: int) -> None:
        self.each(lambda s: s.state(id).add(name, delta))

    @rule(id=sessions, prefix=prefixes, start=st.none() | names, limit=maybe_small, reverse=st.booleans())
    def state_scan(self, id: str, prefix: str, start: Any, limit: Any, reverse: bool) -> None:
        self.each(lambda s: s.state(id).scan(prefix, start=start, limit=limit, reverse=reverse))

    # Apart from conversations

    @rule(shards=st.sampled_from([1, 3]), name=names, value=values, what=small)
    def kv(self, shards: int, name: str, value: Any, what: int) -> None:
        self.each(lambda s: use_collection(s, shards, name, value, what))

    @rule(user=st.sampled_from(["ada", "bob"]), name=names, value=values)
    def user(self, user: str, name: str, value: Any) -> None:
        self.each(lambda s: s.user(user).set(name, value))
        self.each(lambda s: s.user(user).scan())

    @rule(name=names, value=values)
    def cache(self, name: str, value: Any) -> None:
        key = name.strip("{}")
        self.each(lambda s: s.cache.get(key, "default"))
        self.each(lambda s: s.cache.set(key, value))

    @rule(key=st.sampled_from(["k", "l"]), cost=st.integers(1, 3))
    def rate_limit(self, key: str, cost: int) -> None:
        self.each(lambda s: s.rate_limit(key, 5, 3600, cost=cost))

    @rule()
    def stats(self) -> None:
        self.each(lambda s: counted(s))


def run_random_program(
    urls: Sequence[str] | Callable[[], Sequence[str]],
    *,
    steps: int = 100,
    least: int = 0,
    examples: int = 20,
) -> list[int]:
    """Run programs of up to `steps` calls; how many calls each of them made.

    Args:
        urls: of empty stores to compare, or a function that gives fresh ones for each program.
        steps: calls of a program, at most.
        least: calls of a program, at least, where hypothesis can draw that many.
        examples: programs.

    Raises:
        AssertionError: two stores answered differently; hypothesis prints the shortest such program.
    """
    lengths: list[int] = []

    class Program(RandomProgram):
        def teardown(self) -> None:
            super().teardown()
            lengths.append(self.calls)

        def fresh_urls(self) -> Sequence[str]:
            return urls() if callable(urls) else urls

    run_state_machine_as_test(
        Program,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.large_base_example,
            ],
        ),
        _min_steps=least,
    )
    return lengths
