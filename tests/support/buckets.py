"""A real S3 server on 127.0.0.1, and buckets in it."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

SIGN_IN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


# It ends when its input does: also if the tests' process is killed.
SERVER = """
import logging, os, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # a line for each request
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
os._exit(0)  # connections that are open would hold it up
"""


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Run a server as a process of its own; yields the environment by which any AWS client finds it."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        host, port = process.stdout.readline().split()
        yield {**SIGN_IN, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    finally:
        _forget_connections()
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def _forget_connections() -> None:
    """Let no later test get a file system that is connected with this server: s3fs keeps them per process."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()


def new_bucket(settings: dict[str, str]) -> str:
    """Make an empty bucket and return its URL."""
    import boto3

    name = f"b{uuid.uuid4().hex}"
    with mock.patch.dict(os.environ, settings):
        boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"
