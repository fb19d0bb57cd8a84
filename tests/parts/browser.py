"""A real browser: Debian's Chromium, or another one."""

import os
import shutil

from tests.parts import absent


def chromium() -> str:
    """Its path; skips or fails the test where there is none."""
    named = os.environ.get("BROWSER", "")
    found = shutil.which(named) if named else shutil.which("chromium") or shutil.which("google-chrome")
    return found or absent("browser", f"{named or 'chromium'} is not on PATH")
