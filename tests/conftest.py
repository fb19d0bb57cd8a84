"""What holds for every test: the infrastructure that it executes is recorded (`make coverage` reports it)."""

from __future__ import annotations

import os

from tests.coverage import record

os.environ.update(record.environment())
