"""The sandbox's keys, made of the service's own secret: nobody has to be given one."""

import hashlib
import hmac


def of(secret: str) -> tuple[str, str]:
    """The API's key, and what webhooks are signed with."""
    api, webhook = (
        hmac.new(secret.encode(), name.encode(), hashlib.sha256).hexdigest()[:32]
        for name in ("sandbox api", "sandbox webhook")
    )
    return f"CHASECK_TEST-{api}", webhook
