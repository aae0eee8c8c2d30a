"""py-key-value: settings of a program in a store of your choice, and a counter that loses no count.

python examples/frameworks/py_key_value.py                          # a file in a temporary folder
python examples/frameworks/py_key_value.py redis://localhost:6379   # or any store
"""

import asyncio
import sys
import tempfile

from key_value.aio.protocols.key_value import AsyncKeyValue

from miniagent_store.integrations.key_value import MiniAgentKeyValueStore


async def remember(store: AsyncKeyValue) -> None:
    """What any library does with a store, such as that of ``FastMCP(session_state_store=…)``."""
    await store.put("ada", {"theme": "dark", "language": "en"}, collection="settings")
    await store.put("code", {"digits": "1843"}, collection="one-time", ttl=300)


async def visit(store: MiniAgentKeyValueStore) -> None:
    """Count one more, however many do so at once."""
    counted = None
    while counted is None:
        value, version = await store.get_with_version("visits")
        visits = 0 if value is None else value["count"]
        counted = await store.compare_and_set("visits", {"count": visits + 1}, version=version)


async def main(url: str) -> None:
    store = MiniAgentKeyValueStore(url, name="example")
    await store.destroy()
    await remember(store)
    print("settings of ada:", await store.get("ada", collection="settings"))
    code, seconds = await store.ttl("code", collection="one-time")
    print(f"the code {code} is good for {seconds:.0f} more seconds")
    await asyncio.gather(*(visit(store) for _ in range(10)))
    print("visits, counted by ten at once:", await store.get("visits"))
    await store.handle.aclose()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(*sys.argv[1:2] or [f"sqlite:///{folder}/values.db"]))
