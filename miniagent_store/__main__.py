"""``python -m miniagent_store`` is the command ``miniagent-store``."""

from miniagent_store.cli import main

if __name__ == "__main__":
    main()
