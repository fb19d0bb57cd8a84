"""What every module of a rollout shares: its arguments, the lease around its work, one line when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from .errors import RolloutError, StaleLease, line_of
from .lease import Lease
from .place import Place

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "number": {"type": "int", "required": True},
    "lease_seconds": {"type": "float", "default": 30.0},
    "step": {"type": "str"},
}

Work = Callable[[Place, Lease, dict[str, Any]], dict[str, Any]]


def run(arguments: dict[str, Any], work: Work) -> None:
    """Run a module: renew the lease while `work` goes on, and note the step that it belongs to."""
    module = AnsibleModule(argument_spec=ARGUMENTS | arguments, supports_check_mode=True)
    parameters = module.params
    place = Place(Path(parameters["root"]))
    lease = Lease(place.root, parameters["number"])
    if module.check_mode:
        module.exit_json(changed=True, msg="would do it; a check changes nothing")
    try:
        with lease.renewed(parameters["lease_seconds"]):
            if parameters["step"]:
                steps = (place.rollout or {}).get("steps", {})
                with lease.act():
                    place.note(step=parameters["step"], steps={parameters["step"]: time.time()} | steps)
            result = work(place, lease, parameters)
    except (RolloutError, OSError) as error:
        stale = taken_over(lease)
        module.fail_json(msg=stale or line_of(error, place.root), stale=bool(stale))
    module.exit_json(**({"changed": True} | result))


def taken_over(lease: Lease) -> str:
    """Who has the lease now that it is not ours any more, or "": what else went wrong may be that one's doing."""
    try:
        with lease.act():
            return ""
    except (RolloutError, OSError) as error:
        return str(error) if isinstance(error, StaleLease) else ""
