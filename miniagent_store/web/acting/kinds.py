"""All acts there are."""

from __future__ import annotations

from miniagent_store.web.acting.forking import Fork
from miniagent_store.web.acting.kind import Kind
from miniagent_store.web.acting.redacting import Redact
from miniagent_store.web.acting.removing import Clear, Delete, Rewind
from miniagent_store.web.acting.renewing import ChangeTTL, Touch
from miniagent_store.web.acting.undoing import Undo

KINDS: tuple[Kind, ...] = (Touch(), ChangeTTL(), Fork(), Rewind(), Clear(), Delete(), Redact(), Undo())
