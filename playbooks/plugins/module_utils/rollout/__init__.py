"""What a rollout needs loops, clocks and data structures for; the playbooks say what and in which order."""
