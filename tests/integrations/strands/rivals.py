"""One of several processes that hold turns in one session at once.

    python -m tests.integrations.strands.rivals MANAGER URL NAME ROUNDS

A turn that fails is begun anew with a new agent, as users do. Prints the texts of the turns that ended.
"""

from __future__ import annotations

import json
import random
import sys
import time

from strands.types.exceptions import EventLoopException, SessionException, StorageError

from tests.integrations.strands.conversation import agent


def main(kind: str, url: str, name: str, rounds: int) -> None:
    ended, refused = [], 0
    while len(ended) < rounds:
        text = f"How is it in {name}{len(ended)}x{refused}"
        try:
            agent(kind, url)(text)
        except (
            SessionException,
            StorageError,
            EventLoopException,
        ):  # The last has one of these as its cause.
            refused += 1
            time.sleep(random.uniform(0, 0.05))
        else:
            ended.append(text)
    print(json.dumps({"ended": ended, "refused": refused}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
