"""Why a service did not take a message, without what it was told in confidence.

Apprise writes that into its log only, beside parts of the address; and it takes any
answer 200 for a yes, also of services that say no in the body:

- Feishu, Lark: `{"code": 9499, "msg": ...}`, 0 is yes
  (open.feishu.cn/document/client-docs/bot-v3/add-custom-bot)
- DingTalk, WeCom: `{"errcode": 310000, "errmsg": ...}`, 0 is yes
  (open.dingtalk.com/document/robots/custom-robot-access,
  developer.work.weixin.qq.com/document/path/91770)
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from typing import Any

_STATUS = re.compile(r"\berror=(\d{3})\b")


class Murmur(logging.Handler):
    """Hears Apprise's log, and keeps of it the HTTP status that a thread met."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the status of one line, and nothing else of it."""
        found = _STATUS.search(record.getMessage())
        if found is not None:
            self._heard.status = found[1]

    def forget(self) -> None:
        """Begin anew, in this thread."""
        self._heard.status = None

    def reason(self) -> str | None:
        """Return what this thread heard since it began."""
        status: str | None = getattr(self._heard, "status", None)
        return None if status is None else f"it answered {status}"


class Answers:
    """Stands before `requests` in one service's module, and looks at its answers."""

    def __init__(self, requests: Any) -> None:  # noqa: ANN401 - a module
        self._requests = requests
        self._heard = threading.local()

    @classmethod
    def of(cls, way: object) -> Answers | None:
        """Return what hears the answers of an Apprise plug-in; None where none can."""
        module = sys.modules[type(way).__module__]
        requests = getattr(module, "requests", None)
        if requests is None or isinstance(requests, Answers):
            return requests
        answers = cls(requests)
        module.requests = answers  # type: ignore[attr-defined]  # checked above
        return answers

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        return getattr(self._requests, name)

    def post(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - what the module takes
        """Send a request; remember what the answer says, in this thread."""
        answer = self._requests.post(*args, **named)
        self._heard.code = _code(answer)
        return answer

    def forget(self) -> None:
        """Begin anew, in this thread."""
        self._heard.code = None

    def refusal(self) -> str | None:
        """Return the refusal in the last answer of this thread."""
        code: object = getattr(self._heard, "code", None)
        return None if code in {None, 0} else f"it refused, with its code {code}"


def _code(answer: Any) -> int | None:  # noqa: ANN401 - an answer of requests
    """Return the service's own code; None where there is none."""
    try:
        body = answer.json()
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    code = body.get("errcode", body.get("code"))
    return code if isinstance(code, int) else None
