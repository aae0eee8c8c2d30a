"""The blocking face at the end of a process, in forked and in spawned ones."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence

import pytest

from miniagent_store import open_store_sync
from miniagent_store.testing.servers import Server

PREPARED = """
import asyncio, logging, os, signal, sys, threading, time, warnings
from miniagent_store import *
from miniagent_store.handle import StoreHandle

def said(store):
    return [message.content for message in store.history("s")]

def say(store, text):
    store.append("s", Message.user(text), create=True)

# Development's mode tells of slow callbacks, which says something of the machine alone.
logging.getLogger("asyncio").setLevel(logging.ERROR)
store = open_store_sync(sys.argv[1])
say(store, "first")
"""


def run(script: str, url: str, *, within: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a script in which every warning is an error, and development's warnings are given."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PREPARED + textwrap.dedent(script), url],
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )


def check(script: str, url: str, *, said: Sequence[str] = (), code: int = 0) -> str:
    """Run a script that must end with this code, silently, with this stored; what it printed."""
    ended = run(script, url)
    assert (ended.stderr, ended.returncode) == ("", code), ended.stderr
    if said:
        with open_store_sync(url) as store:
            assert [message.content for message in store.history("s")] == list(said)
    return ended.stdout


# Left open at exit

LEFT_OPEN = {
    "a store": "",
    "handles of it": "state, cache = store.state('s'), store.cache; state.set('a', 1); cache.set('a', 1)",
    "a turn": "turn = store.turn('s').__enter__(); turn.append(Message.user('never'))",
    "a lock": "lease = store.lock('door').__enter__()",
    "an iterator": "replay = store.replay('s'); next(replay)",
    "a watch": """
        watch = store.watch('s', after=store.get('s').position)
        store.state('s').set('a', 1)
        next(watch)
    """,
    "a sweeper": "sweeper = store.sweeper(every=1).__enter__()",
    "in a cycle": "class Holder: pass\nholder = Holder(); holder.store, holder.me = store, holder",
    "several": """
        others = [open_store_sync(sys.argv[1]) for _ in range(5)]
        for other in others[:4]:
            said(other)
    """,
    "a call of a daemon thread": """
        begun = threading.Event()
        def wait():
            watch = store.watch('s', after=store.get('s').position)
            begun.set()
            next(watch)
        threading.Thread(target=wait, daemon=True).start()
        begun.wait(); time.sleep(0.1)
    """,
    "calls of many daemon threads": """
        def work():
            while True:
                store.get('s')
        for _ in range(8):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.2)
    """,
}


@pytest.mark.parametrize("what", LEFT_OPEN)
def test_left_open_at_exit(anywhere: str, what: str) -> None:
    durable = not anywhere.startswith("memory")
    check(LEFT_OPEN[what], anywhere, said=["first"] if durable else ())


def test_other_threads_go_on_until_they_end(place: str) -> None:
    script = """
        def work():
            time.sleep(0.2)  # the main thread has ended by then
            for number in range(20):
                say(store, str(number))
        threading.Thread(target=work).start()
    """
    check(script, place, said=["first", *map(str, range(20))])


ENDS = {
    "sys.exit in a running loop": """
        async def main():
            say(store, "second")
            sys.exit(3)
        asyncio.run(main())
    """,
    "sys.exit in a running loop with calls under way": """
        handle = StoreHandle(sys.argv[1])
        async def watch():
            async for _ in handle.iterate(lambda store: store.watch("s")):
                pass
        async def main():
            tasks = [asyncio.create_task(watch()) for _ in range(3)]
            await handle.run(lambda store: store.append("s", Message.user("second")))
            sys.exit(3)
        asyncio.run(main())
    """,
    "sys.exit in a turn": """
        say(store, "second")
        with store.turn("s") as turn:
            turn.append(Message.user("never"))
            sys.exit(3)
    """,
    "sys.exit in a watch": """
        say(store, "second")
        position = store.get("s").position
        store.state("s").set("a", 1)
        for event in store.watch("s", after=position):
            sys.exit(3)
    """,
}


@pytest.mark.parametrize("how", ENDS)
def test_ended_early(place: str, how: str) -> None:
    check(ENDS[how], place, said=["first", "second"], code=3)


def test_a_server_that_does_not_answer_does_not_hold_the_process() -> None:
    with Server() as server:
        script = "print('ready', flush=True); sys.stdin.readline()"
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-c", PREPARED + script, f"{server.url}/0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        server.pause()
        started = time.monotonic()
        _, errors = process.communicate("\n", timeout=60)
        server.resume()
    assert (errors, process.returncode) == ("", 0)
    assert time.monotonic() - started < 20


# Interrupted


def test_interrupted_in_a_call(place: str) -> None:
    script = """
        other = open_store_sync(sys.argv[1])
        with other.turn("s"):
            for _ in range(3):
                threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
                try:
                    with store.turn("s", wait=60):
                        print("not so")
                except KeyboardInterrupt:
                    print("interrupted")
        say(store, "second")
        with store.turn("s", wait=20) as turn:  # nobody who was interrupted holds it, or waits for it
            turn.append(Message.user("third"))
    """
    assert check(script, place, said=["first", "second", "third"]) == "interrupted\n" * 3


def test_interrupted_in_a_watch(place: str) -> None:
    script = """
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            for event in store.watch("s"):
                pass
        except KeyboardInterrupt:
            say(store, "second")
    """
    check(script, place, said=["first", "second"])


# Forked

FORKING = """
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)

        def child(work, end=sys.exit):
            pid = os.fork()
            if pid == 0:
                try:
                    work()
                except Exception:
                    import traceback
                    traceback.print_exc()
                    end(1)
                end(0)
            return pid

        def joined(*pids):
            return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
"""


@pytest.mark.parametrize("end", ["sys.exit", "os._exit"])
def test_both_go_on_after_a_fork(place: str, end: str) -> None:
    script = f"""{FORKING}
        def work():
            assert said(store) == ["first"]
            for number in range(10):
                say(store, f"child {{number}}")
            store.state("s").set("child", 1)

        pid = child(work, {end})
        assert joined(pid) == [0]
        for number in range(10):
            say(store, f"parent {{number}}")
        assert store.state("s").get("child") == 1
    """
    expected = [f"{who} {number}" for who in ("child", "parent") for number in range(10)]
    check(script, place, said=["first", *expected])


def test_preloaded_workers(place: str) -> None:
    script = f"""{FORKING}
        handle = StoreHandle(sys.argv[1])

        async def later(number):
            for _ in range(5):
                await handle.run(lambda store: store.append("s", Message.user(str(number))))

        def work(number):
            for _ in range(2):
                asyncio.run(later(number))
                say(store, str(number))
            with store.turn("s") as turn:
                turn.append(Message.user(str(number)))

        handle.run_blocking(lambda store: store.get("s"))
        stop = threading.Event()
        def busy():  # forks come in the middle of the parent's calls
            while not stop.is_set():
                store.get("s")
        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        pids = [child(lambda number=number: work(number)) for number in range(6)]
        for _ in range(13):
            say(store, "parent")
        assert joined(*pids) == [0] * 6
        stop.set()
        for thread in threads:
            thread.join()
        counts = {{text: said(store).count(text) for text in set(said(store))}}
        assert counts == {{"first": 1, "parent": 13, **{{str(number): 13 for number in range(6)}}}}, counts
    """
    check(script, place)


def test_a_grandchild(place: str) -> None:
    script = f"""{FORKING}
        def work():
            say(store, "child")
            assert joined(child(lambda: say(store, "grandchild"))) == [0]
            say(store, "child again")

        assert joined(child(work)) == [0]
        say(store, "parent")
    """
    check(script, place, said=["first", "child", "grandchild", "child again", "parent"])


def test_what_the_parent_opened_is_refused_in_the_child(place: str) -> None:
    script = f"""{FORKING}
        state, replay, turn = store.state("s"), store.replay("s"), store.turn("s").__enter__()
        next(replay)

        def work():
            for call in (lambda: state.get("a"), lambda: next(replay), turn.commit):
                try:
                    call()
                except WrongLoopError:
                    continue
                raise AssertionError(call)

        assert joined(child(work)) == [0]
        turn.append(Message.user("second"))
        turn.__exit__(None, None, None)
        assert state.get("a") is None
    """
    check(script, place, said=["first", "second"])


def test_what_is_in_memory_stays_with_the_parent() -> None:
    script = f"""{FORKING}
        def work():
            try:
                said(store)
            except WrongLoopError as error:
                assert "sqlite" in str(error)
            else:
                raise AssertionError

        assert joined(child(work)) == [0]
        assert said(store) == ["first"]
    """
    check(script, "memory://here")


def test_closed_in_the_child_it_stays_open_in_the_parent(place: str) -> None:
    script = f"""{FORKING}
        def work():
            say(store, "child")
            store.close()
            try:
                say(store, "never")
            except StoreClosedError:
                return
            raise AssertionError

        assert joined(child(work), child(store.close)) == [0, 0]
        say(store, "parent")
        store.close()
    """
    check(script, place, said=["first", "child", "parent"])


# Pickled


def test_given_to_spawned_processes(place: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("spawn")
    (folder / "spawning.py").write_text(
        textwrap.dedent(
            """
            import logging, multiprocessing, sys
            from miniagent_store import Message, open_store_sync
            from miniagent_store.handle import StoreHandle

            logging.getLogger("asyncio").setLevel(logging.ERROR)

            def work(store, handle, number):
                store.append("s", Message.user(str(number)))
                handle.run_blocking(lambda store: store.append("s", Message.user(str(number))))

            if __name__ == "__main__":
                store = open_store_sync(sys.argv[1])
                store.create("s")
                with multiprocessing.get_context("spawn").Pool(2) as pool:
                    pool.starmap(work, [(store, StoreHandle(sys.argv[1]), number) for number in range(4)])
                    pool.close()
                    pool.join()
                assert sorted(message.content for message in store.history("s")) == sorted("00112233")
            """
        )
    )
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(folder / "spawning.py"), place],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.stderr, ended.returncode) == ("", 0)
