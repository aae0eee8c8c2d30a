"""The seed's interactive demo, on Redis: new, list, resume, history, clear; sessions survive restarts.

    docker compose up -d         # or any Redis
    python demo_redis_session.py

Which Redis: `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB`, `REDIS_USERNAME`, `REDIS_PASSWORD`, in the environment
or a `.env` file; localhost:6379 by default.
"""

from __future__ import annotations

import os
import sys

from miniagent_store.cli import main
from miniagent_store.redis_client import RedisConfig

if __name__ == "__main__":
    # Through the environment, so that no password shows in a list of processes.
    os.environ["MINIAGENT_STORE_URL"] = RedisConfig.from_env().to_url()
    sys.argv[1:] = ["demo", "--interactive", *sys.argv[1:]]
    main()
