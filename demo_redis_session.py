"""Runs examples/demo_redis_session.py, from where the seed document says it is."""

import runpy
from pathlib import Path

if __name__ == "__main__":
    demo = Path(__file__).parent / "examples" / "demo_redis_session.py"
    runpy.run_path(str(demo), run_name="__main__")
