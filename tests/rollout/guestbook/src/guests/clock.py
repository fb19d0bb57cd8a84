"""A process without a ready file: it writes a line a second until it is told to stop."""

import signal
import threading

import django


def main() -> None:
    """Tick."""
    django.setup()
    from guests.models import Tick

    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    while not over.wait(1):
        Tick.objects.create()


if __name__ == "__main__":
    main()
