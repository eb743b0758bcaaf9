"""What people do and read: proposals, votes, decisions, overrides, dissents and their answers, witnesses.

Acts go to the event writer, which decides; reads come from the store. Reading runs in worker threads, handing over never blocks.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Query

from measurand import Runtime

from ..assembly import closing, open_store
from ..constitution import Choice, Kind
from ..events import LONGEST_NAME, Act
from ..following import Follower
from ..handover import Handover, connect
from ..record import Proposal, Record
from ..settings import Settings
from ..store import EventStore
from ..web import Body, Text, prepare

Id = Annotated[str, Path(max_length=LONGEST_NAME)]
Limit = Annotated[int, Query(ge=1, le=200)]


class Proposed(Body):
    """A proposal."""

    title: Text


class Voted(Body):
    """A vote."""

    choice: Choice


class Argued(Body):
    """An override, a dissent or an answer: what is said for it."""

    reason: Text


def assemble(settings: Settings, runtime: Runtime, stack: ExitStack) -> FastAPI:
    """See ``assembly.assemble``."""
    store = open_store(settings, runtime, stack)
    way = connect(settings, runtime)
    return closing(create_app(store, Follower(store, settings.constitution), way), way.close)


def create_app(store: EventStore, follower: Follower, handover: Handover) -> FastAPI:
    """The application.

    Args:
        store: Where events are read.
        follower: What they say.
        handover: The way to the event writer.
    """
    app = prepare(FastAPI(title="Governance: api"))

    @app.post("/v1/proposals", status_code=201)
    async def propose(body: Proposed) -> dict[str, Any]:
        """Propose something."""
        return await handover.submit(Act(Kind.PROPOSAL, body.actor, text=body.title))

    @app.post("/v1/proposals/{proposal_id}/votes", status_code=201)
    async def vote(proposal_id: Id, body: Voted) -> dict[str, Any]:
        """Vote for or against a proposal, or abstain; once."""
        return await handover.submit(Act(Kind.VOTE, body.actor, proposal_id, body.choice))

    @app.post("/v1/proposals/{proposal_id}/decision", status_code=201)
    async def decide(proposal_id: Id, body: Body) -> dict[str, Any]:
        """Close the vote when there is a quorum; the votes decide."""
        return await handover.submit(Act(Kind.DECISION, body.actor, proposal_id))

    @app.post("/v1/proposals/{proposal_id}/override", status_code=201)
    async def override(proposal_id: Id, body: Argued) -> dict[str, Any]:
        """Override a decision, as an authority."""
        return await handover.submit(Act(Kind.OVERRIDE, body.actor, proposal_id, body.reason))

    @app.post("/v1/proposals/{proposal_id}/dissents", status_code=201)
    async def dissent(proposal_id: Id, body: Argued) -> dict[str, Any]:
        """Put a dissent on record; it has to be answered in time."""
        return await handover.submit(Act(Kind.DISSENT, body.actor, proposal_id, body.reason))

    @app.post("/v1/dissents/{dissent_id}/answer", status_code=201)
    async def answer(dissent_id: Id, body: Argued) -> dict[str, Any]:
        """Answer a dissent of somebody else."""
        return await handover.submit(Act(Kind.ANSWER, body.actor, dissent_id, body.reason))

    @app.post("/v1/events/{event_id}/witnesses", status_code=201)
    async def witness(event_id: Id, body: Body) -> dict[str, Any]:
        """Witness a decision, an override, a halt or its lifting by somebody else."""
        return await handover.submit(Act(Kind.WITNESS, body.actor, event_id))

    @app.get("/v1/proposals")
    def proposals(state: str | None = None, limit: Limit = 50) -> dict[str, Any]:
        """The newest proposals; ``state`` is open, adopted, rejected or overridden."""
        with follower.current() as record:
            chosen = [shown for shown in reversed(record.proposals.values()) if state in {None, shown.state}]
            return {"proposals": [_describe(proposal, record) for proposal in chosen[:limit]]}

    @app.get("/v1/proposals/{proposal_id}")
    def proposal(proposal_id: Id) -> dict[str, Any]:
        """One proposal."""
        with follower.current() as record:
            if proposal_id not in record.proposals:
                raise HTTPException(404, "there is no such proposal")
            return _describe(record.proposals[proposal_id], record)

    @app.get("/v1/events")
    def events(after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0, limit: Limit = 50) -> dict[str, Any]:
        """The log, in order; ``after`` is the last sequence number that is known already."""
        return {"events": [event.as_json() for event in store.read(after=after, limit=limit)]}

    @app.get("/v1/events/{event_id}")
    def event(event_id: Id) -> dict[str, Any]:
        """One event, by the id of its act."""
        found = store.find(event_id)
        if found is None:
            raise HTTPException(404, "nothing of this id is recorded")
        return found.as_json()

    @app.get("/v1/state")
    def state() -> dict[str, Any]:
        """Whether the system is halted, and what there is."""
        with follower.current() as record:
            return {"halted": record.is_halted, "halt": record.halt or None, "events": record.head.sequence, "acts": dict(record.acts)}

    return app


def _describe(proposal: Proposal, record: Record) -> dict[str, Any]:
    return {
        "id": proposal.id,
        "title": proposal.title,
        "author": proposal.author,
        "state": proposal.state,
        "votes": {choice: proposal.tally[choice] for choice in Choice},
        "decision": proposal.decision or None,
        "override": proposal.override or None,
        "can_be_decided": not proposal.decision and len(proposal.votes) >= record.constitution.quorum,
    }
