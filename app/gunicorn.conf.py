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


def post_worker_init(worker: Any) -> None:
    """Get ready to count, and answer /readyz with 503 from the moment this worker is told to stop."""
    from marefia.ops import health, metrics

    metrics.open_files()
    stop = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: FrameType | None) -> None:
        health.drain()
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, drain)
    # When the master is killed, the kernel tells its workers to stop: left alone, they would go on announcing
    # keep-alive until `graceful_timeout` and then drop every connection at once.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != worker.ppid:  # killed while this worker was booting: the kernel tells nobody any more
        os.kill(worker.pid, signal.SIGTERM)
