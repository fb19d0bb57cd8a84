"""Work that must not be lost: a row first, in the transaction of its cause, and a Celery message second."""
