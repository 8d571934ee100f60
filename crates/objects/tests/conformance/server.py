"""Starts an object server and tells it its settings, as the node does: JSON behind its length, over its socket."""

import json
import os
import socket
import struct
import subprocess
import time

import boto3
from botocore.config import Config

SETTINGS = {
    "number": 1,
    "region": "us-east-1",
    "buckets": [{"name": "plain", "versioning": False}, {"name": "kept", "versioning": True}, {"name": "other", "versioning": False}],
    "keys": [
        {"id": "api", "secret": "api-secret", "buckets": ["plain", "kept"]},
        {"id": "worker", "secret": "worker-secret", "buckets": ["other"]},
    ],
}


class Server:
    def __init__(self, program, folder, settings=SETTINGS):
        self.program, self.folder, self.settings = program, folder, settings
        self.start()

    def start(self):
        command = [self.program, self.folder + "/store", self.folder]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.endpoint = "http://" + self.process.stdout.readline().decode().strip()
        deadline = time.monotonic() + 10
        while True:
            try:
                assert "applied" in self.tell({"settings": self.settings})
                return
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def tell(self, message):
        with socket.socket(socket.AF_UNIX) as node:
            node.connect(self.folder + "/objects.sock")
            self.hear(node)
            text = json.dumps(message).encode()
            node.sendall(struct.pack(">I", len(text)) + text)
            return self.hear(node)

    @staticmethod
    def hear(node):
        stream = node.makefile("rb")
        (length,) = struct.unpack(">I", stream.read(4))
        return json.loads(stream.read(length))

    def client(self, key="api", **config):
        secret = next((k["secret"] for k in self.settings["keys"] if k["id"] == key), "wrong")
        return client(self.endpoint, key, secret, **config)

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def processor_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        self.process.kill()
        self.process.wait()


def client(endpoint, key, secret, **config):
    config = {"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 0}, **config}
    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret,
        region_name="us-east-1", config=Config(**config),
    )
