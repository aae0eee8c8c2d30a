"""The session layers of other frameworks on our stores: one module a framework, loaded when asked for.

Each needs its framework, which ``pip install 'miniagent-store[NAME]'`` brings.
"""
