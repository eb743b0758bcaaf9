"""What the stand-in of the Bot API knows: chats, people and messages, and the methods that act on them. See telegram_stand_in.py."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

MESSAGES_KEPT = 10_000
SENT_SHOWN = 1_000
BOT = {"id": 4200, "is_bot": True, "first_name": "Stand-in", "username": "channel_stand_in_bot"}
ABILITIES = {"can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}
REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden: bot is not a member of the channel chat",
    404: "Not Found",
    409: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
}

Asked = dict[str, Any]


class Refusal(Exception):
    """A call that is answered with an error."""

    def __init__(self, status: int, description: str = "", retry_after: int | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.description = description or REASONS.get(status, f"Error {status}")
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        """As the Bot API puts it."""
        body: dict[str, Any] = {"ok": False, "error_code": self.status, "description": self.description}
        if self.retry_after is not None:
            body["description"] += f": retry after {self.retry_after}"
            body["parameters"] = {"retry_after": self.retry_after}
        return body


class Chats:
    """Chats and their messages. Safe from any thread."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.sent: deque[dict[str, Any]] = deque(maxlen=SENT_SHOWN)
        self._chats: dict[int, dict[str, Any]] = {}
        self._messages: OrderedDict[tuple[int, int], dict[str, Any]] = OrderedDict()
        self._message_id = 0
        self._methods: dict[str, Callable[[Asked], Any]] = {
            "getMe": lambda _: BOT | ABILITIES,
            "sendMessage": self._send,
            "editMessageText": self._edit,
            "deleteMessage": self._delete,
            "forwardMessage": self._forward,
            "copyMessage": lambda asked: {"message_id": self._forward(asked)["message_id"]},
            "answerCallbackQuery": lambda _: True,
            "sendChatAction": lambda asked: bool(self._of(asked)),
            "setMyCommands": lambda _: True,
            "getChat": self._get_chat,
            "getChatMember": self._get_member,
            "getChatAdministrators": self._get_administrators,
            "getChatMemberCount": lambda asked: self._of(asked)["members"],
            "leaveChat": self._leave,
        }

    def add(self, chat: int, title: str = "", *, members: int = 2, username: str = "") -> None:
        """Let there be a chat: a channel if its id is negative, else one with a person."""
        kind = (
            {"type": "channel", "title": title or f"Channel {-chat}"}
            if chat < 0
            else {"type": "private", "first_name": title or f"Person {chat}"}
        )
        with self.guard:
            self._chats[chat] = {"id": chat, **kind, "username": username, "members": members, "left": False}

    def new_message(self, text: str, chat: int, **more: Any) -> dict[str, Any]:
        """Something that is written in a chat, which is known from now on."""
        with self.guard:
            if chat not in self._chats:
                self.add(chat)
            self._message_id += 1
            message = {
                "message_id": self._message_id,
                "date": int(time.time()),
                "chat": self._public(self._chats[chat]),
                "text": text,
                **more,
            }
            self._messages[chat, self._message_id] = message
            while len(self._messages) > MESSAGES_KEPT:
                self._messages.popitem(last=False)
            return message

    def call(self, method: str, asked: Asked) -> Any:
        """Do what a method does.

        Raises:
            Refusal: It cannot be done.
        """
        found = self._methods.get(method)
        if found is None:
            raise Refusal(404)
        with self.guard:
            try:
                return found(asked)
            except (LookupError, TypeError, ValueError):
                raise Refusal(400, "Bad Request: a parameter is wrong or missing") from None

    # -- the methods -------------------------------------------------------------------------------------------------------------

    def _of(self, asked: Asked, key: str = "chat_id") -> dict[str, Any]:
        """The chat that is asked for, by id or by @username."""
        named = str(asked[key])
        if named.startswith("@"):
            chat = next((chat for chat in self._chats.values() if chat["username"] == named[1:]), None)
        else:
            chat = self._chats.get(int(named))
        if chat is None:
            raise Refusal(400, "Bad Request: chat not found")
        if chat["left"]:
            raise Refusal(403)
        return chat

    def _public(self, chat: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in chat.items() if key not in ("members", "left") and value != ""}

    def _message(self, asked: Asked, key: str = "chat_id") -> dict[str, Any]:
        message = self._messages.get((self._of(asked, key)["id"], int(asked["message_id"])))
        if message is None:
            raise Refusal(400, "Bad Request: message not found")
        return message

    def _send(self, asked: Asked) -> dict[str, Any]:
        chat = self._of(asked)
        if not asked.get("text"):
            raise Refusal(400, "Bad Request: message text is empty")
        author = {"sender_chat": self._public(chat)} if chat["id"] < 0 else {"from": BOT}
        message = self.new_message(asked["text"], chat["id"], **author)
        self.sent.append(message)
        return message

    def _edit(self, asked: Asked) -> dict[str, Any]:
        message = self._message(asked)
        if message["text"] == asked["text"]:
            raise Refusal(400, "Bad Request: message is not modified")
        message |= {"text": asked["text"], "edit_date": int(time.time())}
        return message

    def _delete(self, asked: Asked) -> bool:
        message = self._message(asked)
        del self._messages[message["chat"]["id"], message["message_id"]]
        return True

    def _forward(self, asked: Asked) -> dict[str, Any]:
        return self._send({"chat_id": asked["chat_id"], "text": self._message(asked, "from_chat_id")["text"]})

    def _get_chat(self, asked: Asked) -> dict[str, Any]:
        return self._public(self._of(asked)) | {
            "accent_color_id": 0,
            "max_reaction_count": 11,
            "accepted_gift_types": dict.fromkeys(
                ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
            ),
        }

    def _get_member(self, asked: Asked) -> dict[str, Any]:
        self._of(asked)
        return {"status": "member", "user": person(int(asked["user_id"]))}

    def _get_administrators(self, asked: Asked) -> list[dict[str, Any]]:
        self._of(asked)
        return [{"status": "creator", "user": person(1), "is_anonymous": False}]

    def _leave(self, asked: Asked) -> bool:
        self._of(asked)["left"] = True
        return True


def person(number: int) -> dict[str, Any]:
    """Somebody."""
    return {"id": number, "is_bot": False, "first_name": f"Person {number}"}
