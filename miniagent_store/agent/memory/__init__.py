"""An agent that remembers from one session to the next.

What is said is remembered in the background (`remembering`, `catching_up`), and what fits a question is
recalled before it is answered (`recalling`); `agent_memory` says what, of whom, and how much.
"""
