"""Static files: hashed names, and those of the neighbouring releases too.

This release's own are served by WhiteNoise. During and after a switch a page of the previous or the next
release asks for files that only they have: those are in STATIC_SHARED, which grows while this process runs.
"""

import re

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.exceptions import SuspiciousFileOperation
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.static import serve

HASHED = re.compile(r".+\.[0-9a-f]{12}(\.[A-Za-z0-9]+)?")


class Storage(ManifestStaticFilesStorage):
    """Django's, with a manifest whose bytes depend on the files only, not on the order of finding them."""

    def save_manifest(self) -> None:
        """Write staticfiles.json with sorted keys."""
        self.hashed_files = dict(sorted(self.hashed_files.items()))
        super().save_manifest()


def shared(request: HttpRequest, path: str) -> HttpResponseBase:
    """`GET /static/<path>` of another kept release: only hashed names, which never change their content."""
    if not HASHED.fullmatch(path):
        raise Http404
    try:
        response = serve(request, path, document_root=str(settings.STATIC_SHARED))
    except SuspiciousFileOperation as error:
        raise Http404 from error
    response.headers["Cache-Control"] = "max-age=315360000, public, immutable"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
