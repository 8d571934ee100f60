"""Requests that no SDK makes: signed like theirs, and sent as they are."""

import http.client
import re
import urllib.parse

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class Auth(S3SigV4Auth):
    """Signs with what it is told of the body."""

    def __init__(self, key, payload):
        super().__init__(Credentials(key["id"], key["secret"]), "s3", "us-east-1")
        self.said = payload

    def payload(self, request):
        return self.said or super().payload(request)


def signed(server, method, path, body, payload=None, length=None, more=None):
    """The fields of a signed request. `payload` and `length` are of a body in chunks."""
    fields = dict(more or {})
    if length is not None:
        fields |= {"x-amz-decoded-content-length": str(length), "content-encoding": "aws-chunked"}
    request = AWSRequest(method, server.endpoint + path, headers=fields, data=body)
    Auth(server.settings["keys"][0], payload).add_auth(request)
    return dict(request.headers.items())


def exchange(method, url, fields=None, body=b""):
    """Status and text of the answer."""
    parsed = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parsed.netloc, timeout=60)
    try:
        connection.request(method, url[url.index(parsed.netloc) + len(parsed.netloc):], body, fields or {})
    except (BrokenPipeError, ConnectionResetError):
        # The server has answered before the end of the body.
        pass
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def send(method, url, fields=None, body=b""):
    """Status and code of the answer."""
    status, text = exchange(method, url, fields, body)
    code = re.search(rb"<Code>([^<]*)</Code>", text) if status >= 300 else None
    return status, code and code[1].decode()


def begin(method, url, length):
    """A connection with a request of which the body does not come."""
    parsed = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parsed.netloc, timeout=60)
    connection.putrequest(method, url[url.index(parsed.netloc) + len(parsed.netloc):])
    connection.putheader("Content-Length", str(length))
    connection.endheaders(b"x")
    return connection
