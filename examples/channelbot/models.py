"""What is stored: people, channels, and posts with what has become of them. Moments are seconds since the Unix epoch."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class State(StrEnum):
    """What has become of a post."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Base(DeclarativeBase):
    """What all tables have in common."""


class User(Base):
    """Somebody who has talked to the bot; the id is Telegram's."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    since: Mapped[float] = mapped_column(Float)


class Channel(Base):
    """A channel that is published to."""

    __tablename__ = "channels"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    chat: Mapped[int] = mapped_column(BigInteger, unique=True)
    title: Mapped[str] = mapped_column(String(200))
    members: Mapped[int] = mapped_column(Integer)

    def as_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"id": self.id, "title": self.title, "members": self.members}


class Post(Base):
    """A post, from when it is planned."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("channels.id"))
    channel: Mapped[Channel] = relationship(lazy="joined")
    text: Mapped[str] = mapped_column(String(4096))
    due_at: Mapped[float] = mapped_column(Float)
    state: Mapped[str] = mapped_column(String(20), index=True, default=State.SCHEDULED)
    taken_at: Mapped[float | None] = mapped_column(Float)
    message: Mapped[int | None] = mapped_column(BigInteger)
    views: Mapped[int] = mapped_column(Integer, default=0)

    def as_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "id": self.id,
            "channel": self.channel_id,
            "text": self.text,
            "due_at": self.due_at,
            "state": self.state,
            "views": self.views,
        }
