"""The signals that a payload may hear, which what starts it has to outlive."""

import signal

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
