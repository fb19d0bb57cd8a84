"""Which tests guard which tasks: the first that are to turn red come first."""

from __future__ import annotations

LOCAL = (
    "tests/playbooks/test_up_and_down.py",
    "tests/playbooks/test_rollouts.py",
    "tests/playbooks/test_two_deployers.py",
    "tests/rollout/test_promises.py",
)
SITE = "tests/playbooks/hosts/test_site.py"
SET_UP = f"{SITE}::test_a_second_run_changes_nothing"  # bare hosts have all roles after it
FLEET = "tests/rollout/test_fleet.py"
ON_HOSTS = ("tests/playbooks/hosts/", FLEET)


def _of(*names: str) -> tuple[str, ...]:
    return (SET_UP, *(f"tests/playbooks/hosts/test_{name}.py" for name in names))


# By how the task's path and name begin; the longest that fits counts.
GUARDS = {
    "playbooks/": LOCAL,
    "playbooks/deploy.yml: Record on the other hosts": (FLEET,),
    "playbooks/status.yml: Compare": (FLEET,),
    "playbooks/roles/rollout/tasks/end.yml: Say which host keeps": (FLEET,),
    "playbooks/roles/rollout/tasks/host/lock.yml: Let no other": (FLEET,),
    "playbooks/roles/rollout/tasks/host/look.yml": (FLEET,),
    "playbooks/roles/rollout/tasks/host/preflight.yml: Send": (FLEET,),
    "playbooks/roles/rollout/tasks/step.yml: Leave out": (FLEET,),
    "playbooks/site.yml": (*_of("drift"), SITE),
    "playbooks/roles/base/": (*_of("base", "drift"), SITE),
    "playbooks/roles/haproxy/": (*_of("haproxy"), SITE),
    "playbooks/roles/postgresql/": (*_of("postgresql"), SITE),
    "playbooks/roles/redis/": (*_of("redis"), SITE),
    "playbooks/roles/schedules/": (*_of("schedules"), SITE),
    "playbooks/roles/service/": (*_of("service_units", "drift"), SITE),
}


def guards(path: str, name: str) -> tuple[str, ...]:
    """The tests that are to notice that a task is gone."""
    return GUARDS[max((key for key in GUARDS if f"{path}: {name}".startswith(key)), key=len)]


def on_hosts(tests: tuple[str, ...]) -> bool:
    """Whether they need servers."""
    return any(test.startswith(ON_HOSTS) for test in tests)
