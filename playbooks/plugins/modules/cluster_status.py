#!/usr/bin/python
"""Ansible module: look at a release on a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_status
short_description: What runs on a cluster, whether it is well, what it said and how every rollout ended
description: [Changes nothing. Fails with O(state=smoke) when an answer is not as it should be.]
options:
  context: {description: A context of the kubeconfig; empty for the current one, type: str, default: ""}
  namespace: {description: The environment's namespace, type: str, required: true}
  state: {description: What to look at, choices: [status, smoke, logs, history], required: true}
  service: {description: The service file, type: path, required: true}
  version: {description: The release that ought to answer; empty for the recorded one, type: str, default: ""}
  processes: {description: Whose lines to read; none for all, type: list, elements: str, default: []}
  since: {description: How long ago the oldest line may be (90s, 10m, 2h or 1d), type: str, default: 10m}
  last: {description: How many rollouts to tell, type: int, default: 20}
author: [The maintainers (@maintainers)]
"""

EXAMPLES = r"""
- cluster_status: {state: smoke, namespace: shop-dev, service: infra/service.yml}
"""

RETURN = r"""
report: {description: What a person reads, type: list, returned: success}
said: {description: The lines by time - seconds since 1970, pod, text, type: list, returned: with logs}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.rollout import kube_said, kube_status, record, service
from ansible.module_utils.rollout.errors import RolloutError, line_of
from ansible.module_utils.rollout.kube import Cluster
from ansible.module_utils.rollout.kube_journal import Journal
from ansible.module_utils.rollout.kube_slots import NAMED


def main() -> None:
    module = AnsibleModule(
        argument_spec=NAMED
        | {
            "state": {"choices": ["status", "smoke", "logs", "history"], "required": True},
            "service": {"type": "path", "required": True},
            "version": {"type": "str", "default": ""},
            "processes": {"type": "list", "elements": "str", "default": []},
            "since": {"type": "str", "default": "10m"},
            "last": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    told = module.params
    try:
        cluster = Cluster(told["namespace"], told["context"])
        facts = service.load(Path(told["service"]))
        if told["state"] == "logs":
            said = kube_said.newest(cluster, told["processes"], told["since"])
            module.exit_json(changed=False, report=[], said=said)
        if told["state"] == "history":
            rollouts = Journal(cluster).history[-told["last"] :]
            report = [record.in_a_line(each) for each in rollouts] or ["no rollout ended here yet"]
            module.exit_json(changed=False, report=report, rollouts=rollouts)
        if told["state"] == "smoke":
            module.exit_json(changed=False, report=kube_status.smoke(cluster, facts, told["version"]))
        module.exit_json(changed=False, report=kube_status.report(cluster, facts))
    except (RolloutError, OSError) as error:
        module.fail_json(msg=line_of(error, told["namespace"]))


if __name__ == "__main__":
    main()
