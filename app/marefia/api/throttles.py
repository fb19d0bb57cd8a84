"""How often one may ask: per user, and per address for whoever is not logged in.

The rates stand in the settings. An address is the peer's, never what X-Forwarded-For says; it can be a proxy with
everybody behind it, so what an address may read is no more than a brake on floods.
"""

import hashlib
from typing import Any

import structlog
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

log = structlog.stdlib.get_logger(__name__)


class Throttle(SimpleRateThrottle):
    """Counts in windows of fixed length: one number each, where DRF keeps the time of every request."""

    rest = 0.0

    def __init__(self) -> None:
        """Without a scope: that depends on the request."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count a request by who asks and whether it writes."""
        user = request.user.pk
        if request.method not in SAFE_METHODS:
            return self.count("write", user or self.get_ident(request))
        return self.count("read", user) if user else self.count("read_address", self.get_ident(request))

    def count(self, scope: str, who: Any) -> bool:
        """Count once; return whether it is within the rate. What cannot be counted is let through."""
        most, seconds = self.parse_rate(self.THROTTLE_RATES[scope])
        if most is None or seconds is None:
            return True
        window, gone = divmod(self.timer(), seconds)
        self.rest = seconds - gone
        ident = hashlib.sha256(f"{who}".encode()).hexdigest()
        key = f"{self.cache_format % {'scope': scope, 'ident': ident}}_{window:.0f}"
        try:
            return self._add(key, seconds) <= most
        except Exception as error:  # noqa: BLE001 - whatever the cache has, requests go on
            log.warning("request_not_throttled", reason=repr(error))
            return True

    def _add(self, key: str, seconds: int) -> int:
        try:
            return int(self.cache.incr(key))
        except ValueError:  # the first of its window
            return 1 if self.cache.add(key, 1, seconds) else int(self.cache.incr(key))

    def wait(self) -> float:
        """Seconds until the window ends."""
        return self.rest
