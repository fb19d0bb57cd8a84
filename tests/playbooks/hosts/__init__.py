"""Playbooks and roles on real servers, one after the other: a package is what pytest ends a fixture with."""
