"""`Idempotency-Key`: a POST that may be sent again (draft-ietf-httpapi-idempotency-key-header).

One key is one decision. What the action decided is stored in the transaction of its effect: 2xx, and the 4xx that it
chose (a broken rule, taken nights), since a copy that arrives late must not be granted what its sender was refused.
What was refused before the action began (no login, no right, too often, no JSON) says nothing of what was asked, and
what failed (5xx) had no effect: the key stays free.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar, cast

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import DateTimeField, ExpressionWrapper, Q
from django.db.models.functions import Now
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marefia.api.models import CLAIM, KEPT, IdempotencyKey
from marefia.api.problems import CONTENT_TYPE, Conflict

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
FORM = re.compile(r"[\x20-\x7e]{1,255}")
MALFORMED = "A key has 1 to 255 printable ASCII characters."
PARAMETER = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": 255},
    OpenApiParameter.HEADER,
    description="Of your own making, printable ASCII. The same request with the same key within 24 hours does nothing "
    f"more and gets the first answer again, with `{REPLAYED}: true`.",
)
keys = IdempotencyKey.objects

Action = TypeVar("Action", bound=Callable[..., Response])


class InFlight(Conflict):
    """409: another attempt works on it, or has taken it over."""

    default_detail = "A request with this key is being worked on."
    wait = 1  # seconds, as Retry-After


class Reused(APIException):
    """422: the key stands for something else."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This key was used for another request."


def idempotent(action: Action) -> Action:
    """Let a view's action, which writes for a user who is logged in, be sent again with the same key."""

    @wraps(action)
    def keyed(view: APIView, request: Request, *args: Any, **kwargs: Any) -> Response:
        if HEADER not in request.headers:
            return action(view, request, *args, **kwargs)
        row = _claim(request)
        if row.status is not None:
            return _again(row)
        try:
            with transaction.atomic():
                response = _decide(view, action, request, *args, **kwargs)
                _store(row, response)
        except BaseException:
            with suppress(DatabaseError):  # it lapses
                keys.filter(pk=row.pk, claim=row.claim, status=None).delete()
            raise
        return response

    return cast(Action, extend_schema(parameters=[PARAMETER])(keyed))


def _claim(request: Request) -> IdempotencyKey:
    """Return the request's key, answered or claimed for this attempt; raise ValidationError, Reused, InFlight."""
    said = request.headers[HEADER]
    if not FORM.fullmatch(said):
        raise ValidationError({HEADER: [MALFORMED]})
    asked = json.dumps([request.method, request.get_full_path(), request.data], sort_keys=True)
    mine = {"request": _digest(asked), "claim": uuid.uuid4()}
    user: Any = request.user  # the permission has seen to it
    try:
        row, new = keys.get_or_create(user=user, key=_digest(said), defaults=mine)
    except IntegrityError as error:  # given back in between
        raise InFlight from error
    if new:
        return row
    lapsed = Q(status=None, request=mine["request"], claimed_at__lte=_ago(CLAIM))
    mine |= {"claimed_at": Now(), "status": None, "body": ""}
    taken = keys.filter(lapsed | Q(claimed_at__lte=_ago(KEPT)), pk=row.pk).update(**mine)
    found = keys.filter(pk=row.pk).first()
    if found is None or (found.status is None and found.request == mine["request"] and not taken):
        raise InFlight
    if found.request != mine["request"]:
        raise Reused
    return found


def _decide(view: APIView, action: Action, request: Request, *args: Any, **kwargs: Any) -> Response:
    try:
        with transaction.atomic():  # of a refusal, only the answer stays
            return action(view, request, *args, **kwargs)
    except (APIException, Http404, PermissionDenied) as error:
        if isinstance(error, APIException) and error.status_code >= status.HTTP_500_INTERNAL_SERVER_ERROR:
            raise
        return view.handle_exception(error)


def _store(row: IdempotencyKey, response: Response) -> None:
    """Keep the answer; whoever's key was taken over meanwhile raises InFlight, and so changes nothing."""
    answer = {"status": response.status_code, "body": JSONRenderer().render(response.data).decode()}
    if not keys.filter(pk=row.pk, claim=row.claim, status=None).update(**answer):
        raise InFlight


def _again(row: IdempotencyKey) -> Response:
    assert row.status is not None  # noqa: S101 - for the type checker
    kind = CONTENT_TYPE if row.status >= status.HTTP_400_BAD_REQUEST else None
    return Response(json.loads(row.body), row.status, headers={REPLAYED: "true"}, content_type=kind)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _ago(time: timedelta) -> Any:
    return ExpressionWrapper(Now() - time, output_field=DateTimeField())
