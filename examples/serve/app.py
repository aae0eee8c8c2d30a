"""Many users, many conversations, any number of workers.

uvicorn --app-dir examples serve.app:app --workers 2 --timeout-graceful-shutdown 30

Settings, by the environment:
    MINIAGENT_STORE_URL: where conversations are kept; a SQLite file of yours by default.
    TOKENS: who may come in, as token=user,token=user.
    MODEL: such as "echo" or "openai:gpt-4o"; a slow echo by default.
    RATE_LIMIT: questions a user may ask in a minute.
    TURN_WAIT: seconds a question waits for the ones before it in its conversation.
"""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from miniagent_store import (
    BackendUnavailableError,
    InvalidArgumentError,
    LockTimeoutError,
    Position,
    Session,
    SessionNotFoundError,
    SessionStore,
    StoreError,
    open_store,
)
from miniagent_store.session import SessionAgent
from serve.model import slow_echo
from serve.streams import MovedOnError, Pieces, follow, shown, sse

TOKENS = dict(pair.split("=", 1) for pair in os.environ.get("TOKENS", "ada-s=ada,bob-s=bob").split(","))
RATE_LIMIT = int(os.environ.get("RATE_LIMIT", "20"))
TURN_WAIT = float(os.environ.get("TURN_WAIT", "60"))
STATUS = {
    SessionNotFoundError: (404, "no such conversation"),
    InvalidArgumentError: (400, "not a valid request"),
    MovedOnError: (409, "the conversation has moved on; read it and ask again"),
    LockTimeoutError: (409, "other questions are still being answered; ask again"),
    BackendUnavailableError: (503, "the store does not answer; try again"),
}


class Serving:
    """What one worker holds."""

    def __init__(self, store: SessionStore, agent: SessionAgent) -> None:
        self.store, self.agent = store, agent
        self.closing = asyncio.get_running_loop().create_future()
        self._answers: set[asyncio.Task[str]] = set()

    def answer(self, work: Coroutine[Any, Any, str]) -> asyncio.Task[str]:
        """Answer whether or not the client stays: it may come back, to any worker."""
        task = asyncio.create_task(work)
        self._answers.add(task)
        task.add_done_callback(self._answered)
        return task

    def _answered(self, task: asyncio.Task[str]) -> None:
        self._answers.discard(task)
        if not task.cancelled():
            task.exception()  # told to the client, if it is still there

    def close(self) -> None:
        """Let go of who only watches: it reconnects to another worker."""
        if not self.closing.done():
            self.closing.set_result(None)

    async def finish(self) -> None:
        """Wait for the answers under way."""
        if self._answers:
            await asyncio.wait(self._answers)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One store and one agent a worker."""
    model = os.environ.get("MODEL") or slow_echo
    async with open_store() as store, SessionAgent(store=store, model=model, turn_wait=TURN_WAIT) as agent:
        app.state.serving = serving = Serving(store, agent)
        with told_of_signals(serving):
            yield
        serving.close()
        await serving.finish()


@contextmanager
def told_of_signals(serving: Serving) -> Any:
    """Let go of who watches when the server is to end, since it waits for its connections."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(serving.close)
        server = before[signal.Signals(number)]
        if callable(server):
            server(number, frame)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


app = FastAPI(title="Conversations", lifespan=lifespan)


async def serving_of(request: Request) -> Serving:
    serving: Serving = request.app.state.serving
    return serving


async def user_of(authorization: Annotated[str, Header()] = "") -> str:
    """Whose token it is. A real service asks its identity provider."""
    user = TOKENS.get(authorization.removeprefix("Bearer "))
    if user is None:
        raise HTTPException(401, "pass a token", headers={"WWW-Authenticate": "Bearer"})
    return user


Here = Annotated[Serving, Depends(serving_of)]
User = Annotated[str, Depends(user_of)]


async def conversation_of(session_id: str, here: Here, user: User) -> Session:
    """A conversation of the user's own; others do not learn that it is there."""
    session = await here.store.get(session_id)
    if session.user_id != user:
        raise SessionNotFoundError(session_id)
    return session


Conversation = Annotated[Session, Depends(conversation_of)]


class NewConversation(BaseModel):
    title: str = Field("", max_length=200)


class Question(BaseModel):
    content: str = Field(min_length=1, max_length=20_000)
    after: int | None = Field(None, description="Answer only if this is still the last message.")


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """A page to try it."""
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/conversations", status_code=201)
async def create(new: NewConversation, here: Here, user: User) -> dict[str, Any]:
    """Begin a conversation."""
    return {"id": await here.agent.create_session(user, {"title": new.title})}


@app.get("/conversations")
async def conversations(
    here: Here, user: User, cursor: str | None = None, limit: int = 50
) -> dict[str, Any]:
    """The user's conversations, those last active first."""
    found = await here.store.list(user_id=user, cursor=cursor, limit=min(max(limit, 1), 100))
    return {
        "conversations": [
            {
                "id": session.id,
                "title": session.metadata.get("title", ""),
                "messages": session.message_count,
                "last_activity": session.last_activity,
            }
            for session in found
        ],
        "next_cursor": found.next_cursor,
    }


@app.get("/conversations/{session_id}")
async def read(conversation: Conversation, here: Here, last: int = 100) -> dict[str, Any]:
    """The last messages, and the position to follow on from."""
    snapshot = await here.store.snapshot(conversation.id, last=last)
    return {"messages": shown(snapshot.logs["messages"]), "position": str(snapshot.position)}


@app.delete("/conversations/{session_id}", status_code=204)
async def delete(conversation: Conversation, here: Here) -> None:
    """Remove a conversation with all that belongs to it."""
    await here.store.delete(conversation.id)


@app.post("/conversations/{session_id}/messages")
async def ask(question: Question, conversation: Conversation, here: Here, user: User) -> StreamingResponse:
    """Ask, and follow the conversation until the answer is stored."""
    limit = await here.store.rate_limit(f"questions:{user}", RATE_LIMIT, "1m", algorithm="sliding")
    if not limit:
        raise HTTPException(429, "too many questions", headers=limit.headers())
    if question.after not in (None, conversation.position.seq()):
        raise MovedOnError
    pieces = Pieces(here.store, conversation.id, question.after)
    answer = here.answer(here.agent.run_session(conversation.id, question.content, stream=pieces))

    async def stream() -> AsyncIterator[str]:
        async for event in follow(here.store, conversation.id, conversation.position, until=answer):
            yield event
        if answer.done() and (error := answer.exception()):
            status, detail = explained(error)
            yield sse("failed", {"status": status, "detail": detail})
        elif answer.done():
            yield sse("done")

    return StreamingResponse(stream(), media_type="text/event-stream", headers=limit.headers())


@app.get("/conversations/{session_id}/events")
async def events(
    conversation: Conversation, here: Here, last_event_id: Annotated[str, Header()] = ""
) -> StreamingResponse:
    """Follow a conversation, from the last event that was seen on, or from now."""
    after = Position.parse(last_event_id) if last_event_id else conversation.position
    if after.incarnation != conversation.position.incarnation:
        raise SessionNotFoundError(conversation.id)
    stream = follow(here.store, conversation.id, after, until=here.closing)
    return StreamingResponse(stream, media_type="text/event-stream")


@app.get("/health")
async def health(here: Here) -> JSONResponse:
    """Whether this worker can serve; what is wrong stands in the log, not here."""
    found = await here.store.health()
    return JSONResponse({"ok": found.ok, "pid": os.getpid()}, status_code=200 if found.ok else 503)


def explained(error: BaseException) -> tuple[int, str]:
    """Status and text for a failure, without anything of its own words."""
    for kind, answer in STATUS.items():
        if isinstance(error, kind):
            return answer
    return 500, "something went wrong; nothing of this question was stored"


@app.exception_handler(StoreError)
@app.exception_handler(MovedOnError)
async def refuse(request: Request, error: Exception) -> JSONResponse:
    """A failure of the store, or a question too late, as a status."""
    status, detail = explained(error)
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"detail": detail}, status, headers=headers)
