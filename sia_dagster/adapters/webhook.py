"""Notifications by a webhook, or in the log."""

import json
import logging
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sia_dagster.core.errors import ConfigError, SiaError


class WebhookNotifier:
    """Posts `{"text", "title", "facts"}` as JSON; chat services with incoming webhooks show `text`.

    The URL is a secret: messages contain its host only.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 10.0) -> None:
        """Raises ConfigError for a value that is no http(s) URL with a host."""
        host = _host(url)
        if host is None:
            raise ConfigError("the value is no http:// or https:// URL", key="notify.webhook")
        self._url, self._host, self._timeout = url, host, timeout_seconds

    def notify(self, title: str, facts: Mapping[str, Any]) -> None:
        """Deliver once, within the timeout. Raises SiaError with advice, also for a redirect, which is not followed."""
        body = json.dumps({"text": as_text(title, facts), "title": title, "facts": dict(facts)}, default=str)
        request = Request(self._url, body.encode(), {"Content-Type": "application/json"}, method="POST")
        try:
            with build_opener(_NoRedirects).open(request, timeout=self._timeout):
                return
        except HTTPError as error:
            status = f"answered HTTP {error.code}"
            error.close()
        except (OSError, HTTPException) as error:
            status = f"could not be reached ({_kind(error)})"
        # Without the cause: its traceback may contain the URL.
        raise SiaError(
            f"the webhook at {self._host} {status}, so {title!r} was not delivered; check the variable that "
            "`notify.webhook` names"
        ) from None


class LogNotifier:
    """Writes notifications as warnings to a logger, where no webhook is configured."""

    def __init__(self, logger: logging.Logger) -> None:
        """`logger` is one that people read, such as Dagster's."""
        self._logger = logger

    def notify(self, title: str, facts: Mapping[str, Any]) -> None:
        """Log it; never fails."""
        self._logger.warning("%s", as_text(title, facts))


def as_text(title: str, facts: Mapping[str, Any]) -> str:
    """The title, and a line for each fact."""
    return "\n".join([title, *(f"- {name}: {value}" for name, value in facts.items())])


class _NoRedirects(HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its content."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _host(url: str) -> str | None:
    """`scheme://host:port` of a web address; None for anything else."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    printable = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in {"http", "https"} or not parts.hostname or not printable:
        return None
    return f"{parts.scheme}://{parts.hostname}{port}"


def _kind(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    return type(reason).__name__ if isinstance(reason, BaseException) else "no connection"
