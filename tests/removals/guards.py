"""Which tests guard which tasks: the first that are to turn red come first."""

from __future__ import annotations

UP_AND_DOWN = "tests/playbooks/test_up_and_down.py"
ROLLOUTS = "tests/playbooks/test_rollouts.py"
TWO = "tests/playbooks/test_two_deployers.py"
BAD_INPUT = "tests/rollout/test_bad_input.py"
PROMISES = "tests/rollout/test_promises.py"
FLEET = "tests/rollout/test_fleet.py"
DEPLOYED = f"{FLEET}::test_a_deploy_of_a_new_commit_reaches_every_host_and_loses_nothing"
LAGGING = f"{FLEET}::test_a_host_that_may_lag_stops_no_rollout_and_the_next_one_brings_it_along"
MISSPELLED = f"{FLEET}::test_an_inventory_that_says_what_nothing_reads_is_judged_by_a_deploy_too"
BACKUP_SQLITE = "tests/playbooks/test_backup_sqlite.py"
SITE = "tests/playbooks/hosts/test_site.py"
ASKED = (
    f"{ROLLOUTS}::test_status_smoke_and_history_tell_a_person_what_runs",
    f"{ROLLOUTS}::test_smoke_fails_when_another_release_answers_than_the_one_that_was_meant",
    UP_AND_DOWN,
)
UNDONE = (
    f"{ROLLOUTS}::test_an_undo_that_fails_is_told_with_what_it_was_to_undo_and_left_to_the_next_rollout",
    f"{ROLLOUTS}::test_an_undo_that_fails_and_a_line_that_cannot_be_written_are_told_and_left_to_the_next_rollout",
    f"{ROLLOUTS}::test_a_lease_that_cannot_be_given_back_is_told_and_holds_nobody_up",
)
CERTBOT = (
    "tests/playbooks/hosts/test_haproxy.py::test_a_certificate_of_certbots_takes_the_place_of_the_stand_in"
)
ON_HOSTS = ("tests/playbooks/hosts/", FLEET)


def _of(*names: str, first: str = "") -> tuple[str, ...]:
    """The tests of roles, after one that has bare hosts set up with all of them."""
    set_up = "tests/playbooks/hosts/test_base.py::test_the_journal_outlives_a_boot_and_is_bounded"
    files = (f"tests/playbooks/hosts/test_{name}.py" for name in names)
    return (set_up, *([first] if first else []), *files, SITE)


# By how the task's path and name begin; the longest that fits counts.
GUARDS = {
    "playbooks/": (UP_AND_DOWN, ROLLOUTS, TWO, PROMISES),
    "playbooks/backup.yml": (BACKUP_SQLITE,),
    "playbooks/deploy.yml: Record on the other hosts": (DEPLOYED,),
    "playbooks/deploy.yml: Verify": (TWO, PROMISES),
    "playbooks/down.yml": (UP_AND_DOWN, TWO),
    "playbooks/drill.yml": (BACKUP_SQLITE,),
    "playbooks/history.yml": ASKED,
    "playbooks/logs.yml": (ROLLOUTS,),
    "playbooks/restore.yml": (BACKUP_SQLITE,),
    "playbooks/smoke.yml": ASKED,
    "playbooks/status.yml": ASKED,
    "playbooks/status.yml: Compare": (
        f"{FLEET}::test_what_is_changed_by_hand_on_a_host_is_named_and_mended",
    ),
    "playbooks/site.yml": (SITE, "tests/playbooks/hosts/test_drift.py"),
    "playbooks/roles/backup/": _of("backup"),
    "playbooks/roles/backup/tasks/drilled.yml": (BACKUP_SQLITE,),
    "playbooks/roles/backup/tasks/made.yml": (BACKUP_SQLITE,),
    "playbooks/roles/backup/tasks/restored.yml": (BACKUP_SQLITE,),
    "playbooks/roles/backup/tasks/sqlite/": (BACKUP_SQLITE,),
    "playbooks/roles/base/": _of("base", "drift"),
    "playbooks/roles/haproxy/": _of("haproxy"),
    "playbooks/roles/haproxy/tasks/acme.yml": _of("haproxy", first=CERTBOT),
    "playbooks/roles/haproxy/tasks/main.yml: Have a certificate": _of("haproxy", first=CERTBOT),
    "playbooks/roles/postgresql/": _of("postgresql"),
    "playbooks/roles/redis/": _of("redis"),
    "playbooks/roles/schedules/": _of("schedules"),
    "playbooks/roles/service/": _of("service_units", "drift"),
    "playbooks/roles/service/tasks/main.yml: Copy the installer": (DEPLOYED,),
    "playbooks/roles/rollout/tasks/down.yml": (UP_AND_DOWN, TWO),
    "playbooks/roles/rollout/tasks/end.yml: Leave": UNDONE,
    "playbooks/roles/rollout/tasks/end.yml: Register": UNDONE,
    "playbooks/roles/rollout/tasks/end.yml: Say which host keeps": (LAGGING,),
    "playbooks/roles/rollout/tasks/end.yml: Undo": (*UNDONE, PROMISES),
    "playbooks/roles/rollout/tasks/end.yml: Write": (*UNDONE, PROMISES),
    "playbooks/roles/rollout/tasks/host/history.yml": ASKED,
    "playbooks/roles/rollout/tasks/host/lock.yml": (TWO, UP_AND_DOWN, PROMISES),
    "playbooks/roles/rollout/tasks/host/lock.yml: Let no other": (DEPLOYED,),
    "playbooks/roles/rollout/tasks/host/logs.yml": (ROLLOUTS,),
    "playbooks/roles/rollout/tasks/host/look.yml": (TWO, FLEET),
    "playbooks/roles/rollout/tasks/host/look.yml: Judge": (MISSPELLED,),
    "playbooks/roles/rollout/tasks/host/preflight.yml": (UP_AND_DOWN, BAD_INPUT, ROLLOUTS, PROMISES),
    "playbooks/roles/rollout/tasks/host/preflight.yml: Send": (DEPLOYED,),
    "playbooks/roles/rollout/tasks/host/preflight.yml: Verify": ("tests/playbooks/test_signature.py",),
    "playbooks/roles/rollout/tasks/host/smoke.yml": ASKED,
    "playbooks/roles/rollout/tasks/host/status.yml": ASKED,
    "playbooks/roles/rollout/tasks/host/verify.yml": (TWO, PROMISES),
    "playbooks/roles/rollout/tasks/step.yml: Leave out": (LAGGING,),
}


def guards(path: str, name: str) -> tuple[str, ...]:
    """The tests that are to notice that a task is gone."""
    return GUARDS[max((key for key in GUARDS if f"{path}: {name}".startswith(key)), key=len)]


def on_hosts(tests: tuple[str, ...]) -> bool:
    """Whether they need servers."""
    return any(test.startswith(ON_HOSTS) for test in tests)
