"""A web application for gunicorn, with a path that takes a worker for very long."""
import time


def app(environment, start):
    if environment["PATH_INFO"] == "/slow":
        time.sleep(3600)
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]
