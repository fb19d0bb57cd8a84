"""How gunicorn serves: threads, few seconds of keep-alive, and time to finish what it holds.

The socket is the service manager's (LISTEN_FDS); without one it binds 127.0.0.1:8000. When a worker stops,
gthread answers idle connections for up to `keepalive` seconds more, so that a client between two requests
loses none.
"""

import ctypes
import os
import shutil
import signal
from types import FrameType
from typing import Any

from marefia import logs
from marefia.environment import read_or_exit

ENV = read_or_exit()
METRICS_DIR = ENV.run_dir / "prometheus"
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_DIR)  # before prometheus_client is imported

PR_SET_PDEATHSIG = 1  # linux/prctl.h

worker_class = "gthread"
workers = ENV.web_workers
threads = ENV.web_threads
keepalive = 2
graceful_timeout = 25
timeout = 60
forwarded_allow_ips = "127.0.0.1,::1"
control_socket_disable = True
worker_tmp_dir = str(ENV.run_dir)
logger_class = "marefia.logs.GunicornLogger"
logconfig_dict = logs.config(ENV.log_level)


def on_starting(server: Any) -> None:
    """Forget the metrics of processes that are gone."""
    shutil.rmtree(METRICS_DIR, ignore_errors=True)
    METRICS_DIR.mkdir(parents=True)


def child_exit(server: Any, worker: Any) -> None:
    """Drop the gauges of a worker that ended."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def post_fork(server: Any, worker: Any) -> None:
    """End at once with the master while nothing is held yet.

    The next master takes the scratch folder away, and a worker that fails to boot without a reader for its log
    falls back into gunicorn's master loop, where it kills its siblings with all that they hold.
    """
    end_with_master(worker, signal.SIGKILL)


def post_worker_init(worker: Any) -> None:
    """Get ready to count, and answer /readyz with 503 from the moment this worker is told to stop.

    Where nobody holds the socket meanwhile and a proxy has to notice first, it goes on serving for a while.
    """
    from marefia.ops import health, metrics

    metrics.open_files()
    stop = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: FrameType | None) -> None:
        health.drain()
        if ENV.web_linger_seconds:
            signal.signal(signal.SIGALRM, stop)
            signal.alarm(ENV.web_linger_seconds)
        elif callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, drain)
    # Left alone, it would go on announcing keep-alive until `graceful_timeout` and then drop every connection.
    end_with_master(worker, signal.SIGTERM)


def end_with_master(worker: Any, number: signal.Signals) -> None:
    """Have the kernel send this worker `number` when its master dies, however it dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != worker.ppid:  # it has died already
        os.kill(worker.pid, number)
