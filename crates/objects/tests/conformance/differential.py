"""The same random operations against an object server and against moto: `differential.py PROGRAM OPERATIONS SEED`.

Prints each difference with the operation, counts those whose reason is named in KNOWN, and fails on any other.
"""

import collections
import hashlib
import logging
import random
import sys
import tempfile

from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from server import SETTINGS, Server, client

BUCKETS = ["plain", "kept"]
KEYS = ["a", "b", "a/b", "a/c", "a/b/c", "ä", "z z", "+", "dir/"]
# What differs, and why.
PAGES = "S3 counts groups among the entries of a page; moto does not, and both list the same in all"
REPEATS = "moto lists a group again on a later page"
DEAD_GROUPS = "moto lists groups of keys that were all deleted"
MARKER = "the object was deleted: moto shows the marker"
KNOWN = {
    "delete: marker True / False, version": "S3 marks a key that never was as deleted; moto does nothing",
    "list of kept: pages": PAGES,
    "list of plain: pages": PAGES,
    "list of kept: pages, repeats False / True": REPEATS,
    "list of plain: pages, repeats False / True": REPEATS,
    "list of kept: all, pages": DEAD_GROUPS,
    "list of kept: all, pages, repeats False / True": DEAD_GROUPS,
    "tag: code 'NoSuchKey' / 'MethodNotAllowed', status 404 / 405": MARKER,
    "tags: code 'NoSuchKey' / 'MethodNotAllowed', status 404 / 405": MARKER,
    "get_version: code 'MethodNotAllowed' / 'NoSuchVersion', status 405 / 404":
        "S3 answers 405 to reading a delete marker by its version",
    "tags: tags": "moto keeps the tags of an object that a copy without tags replaced",
}


class Pairs:
    """The versions that the two servers made in answer to the same operation."""

    def __init__(self):
        self.made, self.theirs = [], {}

    def alike(self, ours, theirs):
        if ours is None or theirs is None:
            return ours == theirs
        if ours not in self.theirs:
            self.theirs[ours] = theirs
            self.made.append((ours, theirs))
        return self.theirs[ours] == theirs


def real(version):
    """moto tells `null` where there are no versions, S3 and ours tell nothing."""
    return None if version == "null" else version


class Side:
    def __init__(self, s3, pairs, place):
        # Which of a pair is this side's.
        self.s3, self.pairs, self.place = s3, pairs, place
        # Per upload: bucket, key and the parts that it has.
        self.open = []

    def call(self, operation):
        name, arguments = operation
        try:
            return getattr(self, name)(**arguments)
        except ClientError as error:
            return {"status": error.response["ResponseMetadata"]["HTTPStatusCode"], "code": error.response["Error"]["Code"]}

    def version(self, number):
        """The id of the version of this number; one that nobody has where there is none."""
        made = self.pairs.made
        return made[number % len(made)][self.place] if made else "null"

    def put(self, bucket, key, body, **said):
        answer = self.s3.put_object(Bucket=bucket, Key=key, Body=body, **said)
        return {"etag": answer["ETag"], "version": real(answer.get("VersionId"))}

    def get(self, bucket, key, **said):
        answer = self.s3.get_object(Bucket=bucket, Key=key, **said)
        body = answer["Body"].read()
        return {
            "body": hashlib.md5(body).hexdigest(), "length": answer["ContentLength"], "etag": answer["ETag"],
            "type": answer["ContentType"], "metadata": answer["Metadata"], "range": answer.get("ContentRange"),
            "status": answer["ResponseMetadata"]["HTTPStatusCode"],
            "version": real(answer.get("VersionId")),
        }

    def head(self, bucket, key):
        answer = self.s3.head_object(Bucket=bucket, Key=key)
        return {"length": answer["ContentLength"], "etag": answer["ETag"], "type": answer["ContentType"],
                "metadata": answer["Metadata"], "version": real(answer.get("VersionId"))}

    def get_version(self, bucket, key, number):
        return self.get(bucket, key, VersionId=self.version(number))

    def matched(self, bucket, key, field, other_key):
        try:
            etag = self.s3.head_object(Bucket=bucket, Key=other_key)["ETag"]
        except ClientError:
            etag = '"00000000000000000000000000000000"'
        return self.get(bucket, key, **{field: etag})

    def create(self, bucket, key, body):
        return self.put(bucket, key, body, IfNoneMatch="*")

    def delete(self, bucket, key):
        answer = self.s3.delete_object(Bucket=bucket, Key=key)
        return {"marker": answer.get("DeleteMarker", False), "version": real(answer.get("VersionId"))}

    def delete_version(self, bucket, key, number):
        self.s3.delete_object(Bucket=bucket, Key=key, VersionId=self.version(number))
        return {}

    def delete_many(self, bucket, keys):
        answer = self.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
        deleted = sorted(answer.get("Deleted", []), key=lambda one: one["Key"])
        return {"deleted": [one["Key"] for one in deleted]}

    def copy(self, bucket, key, source, **said):
        answer = self.s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": source[0], "Key": source[1]}, **said)
        return {"etag": answer["CopyObjectResult"]["ETag"], "version": real(answer.get("VersionId"))}

    def list(self, version, bucket, page, **said):
        listed, size, arguments = [], page, dict(said)
        call = self.s3.list_objects_v2 if version == 2 else self.s3.list_objects
        while True:
            answer = call(Bucket=bucket, MaxKeys=size, **arguments)
            entries = [(one["Key"], one["Size"], one["ETag"]) for one in answer.get("Contents", [])]
            groups = [(one["Prefix"],) for one in answer.get("CommonPrefixes", [])]
            listed.append(sorted(entries + groups))
            if not answer["IsTruncated"]:
                entries = [entry for one in listed for entry in one]
                return {"pages": listed, "all": sorted(set(entries)), "repeats": len(entries) != len(set(entries))}
            if version == 2:
                arguments["ContinuationToken"] = answer["NextContinuationToken"]
            else:
                arguments["Marker"] = answer.get("NextMarker") or answer["Contents"][-1]["Key"]

    def list_versions(self, bucket, **said):
        answer = self.s3.list_object_versions(Bucket=bucket, **said)
        ids = [one["VersionId"] for kind in ("Versions", "DeleteMarkers") for one in answer.get(kind, [])]
        versions = [(one["Key"], one["IsLatest"], one["Size"]) for one in answer.get("Versions", [])]
        markers = [(one["Key"], one["IsLatest"]) for one in answer.get("DeleteMarkers", [])]
        return {"versions": versions, "markers": markers, "ids": [real(identity) for identity in ids], "groups": [one["Prefix"] for one in answer.get("CommonPrefixes", [])]}

    def tag(self, bucket, key, tags):
        self.s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags]})
        return self.tags(bucket, key)

    def tags(self, bucket, key):
        tags = self.s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        return {"tags": sorted((tag["Key"], tag["Value"]) for tag in tags)}

    def begin(self, bucket, key):
        upload = self.s3.create_multipart_upload(Bucket=bucket, Key=key, ContentType="multi/part")["UploadId"]
        self.open.append((bucket, key, upload, {}))
        return {}

    def part(self, upload, number, body):
        if not self.open:
            return {}
        bucket, key, identity, parts = self.open[upload % len(self.open)]
        answer = self.s3.upload_part(Bucket=bucket, Key=key, UploadId=identity, PartNumber=number, Body=body)
        parts[number] = answer["ETag"]
        return {"etag": answer["ETag"]}

    def parts(self, upload):
        if not self.open:
            return {}
        bucket, key, identity, _ = self.open[upload % len(self.open)]
        answer = self.s3.list_parts(Bucket=bucket, Key=key, UploadId=identity)
        return {"parts": [(part["PartNumber"], part["Size"], part["ETag"]) for part in answer.get("Parts", [])]}

    def complete(self, upload):
        if not self.open or not self.open[upload % len(self.open)][3]:
            return {}
        bucket, key, identity, parts = self.open.pop(upload % len(self.open))
        names = [{"PartNumber": number, "ETag": parts[number]} for number in sorted(parts)]
        try:
            answer = self.s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=identity, MultipartUpload={"Parts": names})
        except ClientError:
            self.s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=identity)
            raise
        return {"etag": answer["ETag"], "version": real(answer.get("VersionId"))}

    def abort(self, upload):
        if not self.open:
            return {}
        bucket, key, identity, _ = self.open.pop(upload % len(self.open))
        self.s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=identity)
        return {}


def operation(draw):
    bucket, key, body = draw.choice(BUCKETS), draw.choice(KEYS), draw.randbytes(draw.choice([0, 1, 10, 1000, 70_000]))
    where = {"bucket": bucket, "key": key}
    listing = {"Prefix": draw.choice(["", "a", "a/", "a/b", "d"])}
    if draw.random() < 0.6:
        listing["Delimiter"] = "/"
    choices = [
        (8, ("put", {**where, "body": body, "Metadata": {"m": str(draw.randrange(5))}, "ContentType": draw.choice(["a/b", "text/plain"])})),
        (6, ("get", where)),
        (3, ("get", {**where, "Range": draw.choice(["bytes=0-0", "bytes=5-9", "bytes=-3", "bytes=100-", "bytes=0-99999999"])})),
        (3, ("head", where)),
        (2, ("get_version", {**where, "number": draw.randrange(1000)})),
        (2, ("matched", {**where, "field": draw.choice(["IfMatch", "IfNoneMatch"]), "other_key": draw.choice([key, draw.choice(KEYS)])})),
        (2, ("create", {**where, "body": body})),
        (4, ("delete", where)),
        (2, ("delete_version", {"bucket": "kept", "key": key, "number": draw.randrange(1000)})),
        (1, ("delete_many", {"bucket": "plain", "keys": draw.sample(KEYS, 3)})),
        (3, ("copy", {**where, "source": (draw.choice(BUCKETS), draw.choice(KEYS)),
                      **draw.choice([{}, {"MetadataDirective": "REPLACE", "Metadata": {"c": "1"}, "ContentType": "c/c"}])})),
        (3, ("list", {"version": draw.choice([1, 2]), "bucket": bucket, "page": draw.choice([1, 2, 3, 1000]), **listing})),
        (2, ("list_versions", {"bucket": bucket, **listing})),
        (2, ("tag", {**where, "tags": [("t", str(draw.randrange(3)))]})),
        (1, ("tags", where)),
        (2, ("begin", where)),
        (3, ("part", {"upload": draw.randrange(99), "number": draw.randrange(1, 4), "body": body})),
        (1, ("parts", {"upload": draw.randrange(99)})),
        (2, ("complete", {"upload": draw.randrange(99)})),
        (1, ("abort", {"upload": draw.randrange(99)})),
    ]
    return draw.choices([choice for _, choice in choices], [weight for weight, _ in choices])[0]


def differing(pairs, ours, theirs):
    """The fields in which two answers differ."""
    fields = []
    for field in sorted({*ours, *theirs}):
        one, other = ours.get(field), theirs.get(field)
        if field == "version":
            alike = pairs.alike(one, other)
        elif field == "ids":
            alike = len(one or []) == len(other or []) and all(pairs.alike(*both) for both in zip(one or [], other or []))
        else:
            alike = one == other
        if not alike:
            fields.append(field)
    return fields


def described(operation, fields, ours, theirs):
    name, arguments = operation
    arguments = {key: (f"<{len(value)} bytes>" if isinstance(value, bytes) else value) for key, value in arguments.items()}
    return f"{name} {arguments}: " + "; ".join(f"{field}: ours {ours.get(field)!r}, moto {theirs.get(field)!r}" for field in fields)


def kind(operation, fields, ours, theirs):
    """What is alike of all differences that have one reason."""
    shown = [f"{field} {ours.get(field)!r} / {theirs.get(field)!r}" if field in ("status", "code", "marker", "repeats") else field for field in fields]
    name, arguments = operation
    name = f"{name} of {arguments['bucket']}" if name == "list" else name
    return f"{name}: " + ", ".join(shown)


def align(operation, answers, side):
    """Undoes what only our server did, so that a known difference is counted once."""
    name, arguments = operation
    if name == "delete" and arguments["bucket"] == "kept" and answers[0].get("version") and not answers[1].get("version"):
        side.s3.delete_object(Bucket="kept", Key=arguments["key"], VersionId=answers[0]["version"])


def main(program, operations, seed):
    draw, kinds, examples = random.Random(seed), collections.Counter(), {}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(program, folder)
        try:
            peer = client(f"http://{host}:{port}", "api", "api-secret")
            for bucket in SETTINGS["buckets"]:
                peer.create_bucket(Bucket=bucket["name"])
                if bucket["versioning"]:
                    peer.put_bucket_versioning(Bucket=bucket["name"], VersioningConfiguration={"Status": "Enabled"})
            pairs = Pairs()
            ours, theirs = Side(server.client(), pairs, 0), Side(peer, pairs, 1)
            for _ in range(operations):
                one = operation(draw)
                answers = ours.call(one), theirs.call(one)
                fields = differing(pairs, *answers)
                if fields:
                    name = kind(one, fields, *answers)
                    kinds[name] += 1
                    examples.setdefault(name, described(one, fields, *answers))
                    align(one, answers, ours)
        finally:
            server.kill()
            moto.stop()
    unknown = 0
    for name, count in kinds.most_common():
        reason = KNOWN.get(name)
        unknown += count if reason is None else 0
        print(f"{count} × {name}: {reason or 'NOT EXPLAINED'}\n    {examples[name][:600]}")
    print(f"differential: {operations} operations with seed {seed}, {sum(kinds.values())} differences of {len(kinds)} kinds, {unknown} not explained")
    return unknown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])) and 1)
