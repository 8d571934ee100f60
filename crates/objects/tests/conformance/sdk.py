"""What the SDK for Python does with an object server: `sdk.py PROGRAM`. One line for each check that fails, then a sum."""

import base64
import hashlib
import io
import os
import random
import resource
import socket
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request
import zlib

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

import wire
from server import Server

MIB = 1 << 20
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return "accepted", 200


@check
def content_fields_and_metadata_come_back(server):
    s3, body = server.client(), os.urandom(300_001)
    said = {"ContentType": "image/png", "CacheControl": "max-age=5", "ContentDisposition": "inline", "ContentLanguage": "de",
            "ContentEncoding": "x", "Metadata": {"name": "value"}}
    put = s3.put_object(Bucket="plain", Key="fields", Body=body, **said)
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    for answer in [s3.get_object(Bucket="plain", Key="fields"), s3.head_object(Bucket="plain", Key="fields")]:
        assert {name: answer[name] for name in said} == said
        assert answer["ContentLength"] == len(body) and answer["ETag"] == put["ETag"]
    assert s3.get_object(Bucket="plain", Key="fields")["Body"].read() == body


@check
def keys_are_any_text(server):
    s3 = server.client()
    keys = ["a/../b", "ä ö", "+%2F?&=#", "//double//", "日本", "trailing/", "'\"<>&", "x" * 1024, ".", "a b+c", "\U0001f600"]
    for key in keys:
        s3.put_object(Bucket="plain", Key="any/" + key[:1020], Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket="plain", Key="any/" + key[:1020])["Body"].read() == key.encode()
    listed = [entry["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="plain", Prefix="any/", PaginationConfig={"PageSize": 3}) for entry in page["Contents"]]
    assert sorted(listed) == sorted("any/" + key[:1020] for key in keys) and listed == sorted(listed, key=str.encode)
    assert refused(s3.put_object, Bucket="plain", Key="x" * 1025, Body=b"")[0] == "KeyTooLongError"


@check
def ranges(server):
    s3, body = server.client(), os.urandom(200_000)
    s3.put_object(Bucket="plain", Key="range", Body=body)
    for text, part in {"bytes=0-0": body[:1], "bytes=65530-65545": body[65530:65546], "bytes=-5": body[-5:],
                       "bytes=199999-": body[-1:], "bytes=100-999999": body[100:]}.items():
        answer = s3.get_object(Bucket="plain", Key="range", Range=text)
        assert answer["Body"].read() == part and answer["ResponseMetadata"]["HTTPStatusCode"] == 206, text
    assert refused(s3.get_object, Bucket="plain", Key="range", Range="bytes=200000-") == ("InvalidRange", 416)


@check
def conditional_reads(server):
    s3 = server.client()
    etag = s3.put_object(Bucket="plain", Key="cond", Body=b"x")["ETag"]
    assert refused(s3.get_object, Bucket="plain", Key="cond", IfNoneMatch=etag)[1] == 304
    assert refused(s3.get_object, Bucket="plain", Key="cond", IfMatch='"other"') == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket="plain", Key="cond", IfMatch=etag)["Body"].read() == b"x"
    modified = s3.head_object(Bucket="plain", Key="cond")["LastModified"]
    assert refused(s3.get_object, Bucket="plain", Key="cond", IfModifiedSince=modified)[1] == 304


@check
def conditional_writes(server):
    s3 = server.client()
    etag = s3.put_object(Bucket="plain", Key="once", Body=b"1", IfNoneMatch="*")["ETag"]
    assert refused(s3.put_object, Bucket="plain", Key="once", Body=b"2", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refused(s3.put_object, Bucket="plain", Key="once", Body=b"2", IfMatch='"0"') == ("PreconditionFailed", 412)
    assert refused(s3.put_object, Bucket="plain", Key="never", Body=b"2", IfMatch=etag) == ("NoSuchKey", 404)
    s3.put_object(Bucket="plain", Key="once", Body=b"3", IfMatch=etag)
    created = []
    def create(number):
        created.append(refused(server.client().put_object, Bucket="plain", Key="race", Body=bytes([number]), IfNoneMatch="*")[1])
    threads = [threading.Thread(target=create, args=[number]) for number in range(8)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert sorted(created) == [200] + [412] * 7


@check
def checksums_of_every_kind(server):
    s3 = server.client()
    for algorithm in ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"]:
        s3.put_object(Bucket="plain", Key="sum", Body=b"sums", ChecksumAlgorithm=algorithm)
        answer = s3.get_object(Bucket="plain", Key="sum", ChecksumMode="ENABLED")
        assert answer["Checksum" + algorithm] and answer["Body"].read() == b"sums"
    assert refused(s3.put_object, Bucket="plain", Key="sum", Body=b"sums", ChecksumSHA256="A" * 43 + "=") == ("BadDigest", 400)
    assert refused(s3.put_object, Bucket="plain", Key="sum", Body=b"sums", ContentMD5="A" * 22 + "==")[0] == "BadDigest"
    assert s3.get_object(Bucket="plain", Key="sum")["Body"].read() == b"sums"


@check
def signatures(server):
    assert refused(server.client("nobody").list_buckets) == ("InvalidAccessKeyId", 403)
    wrong = server.client(signature_version="s3")
    assert refused(wrong.list_objects_v2, Bucket="plain")[1] == 403
    try:
        urllib.request.urlopen(server.endpoint + "/plain")
        raise AssertionError("accepted")
    except urllib.error.HTTPError as error:
        assert error.code == 403
    ready = urllib.request.urlopen(server.endpoint + "/-/ready")
    assert ready.status == 200


@check
def keys_see_their_buckets_only(server):
    api, worker = server.client(), server.client("worker")
    assert [bucket["Name"] for bucket in api.list_buckets()["Buckets"]] == ["kept", "plain"]
    assert [bucket["Name"] for bucket in worker.list_buckets()["Buckets"]] == ["other"]
    worker.put_object(Bucket="other", Key="secret", Body=b"x")
    for bucket in ["other", "absent"]:
        assert refused(api.get_object, Bucket=bucket, Key="secret") == ("AccessDenied", 403)
        assert refused(api.list_objects_v2, Bucket=bucket) == ("AccessDenied", 403)
    assert refused(api.copy_object, Bucket="plain", Key="stolen", CopySource="other/secret") == ("AccessDenied", 403)
    begun = api.create_multipart_upload(Bucket="plain", Key="stolen")["UploadId"]
    assert refused(api.upload_part_copy, Bucket="plain", Key="stolen", UploadId=begun, PartNumber=1, CopySource="other/secret") == ("AccessDenied", 403)
    api.abort_multipart_upload(Bucket="plain", Key="stolen", UploadId=begun)


@check
def presigned_urls(server):
    s3 = server.client(signature_version="s3v4")
    put = s3.generate_presigned_url("put_object", {"Bucket": "plain", "Key": "signed ä"}, 60)
    urllib.request.urlopen(urllib.request.Request(put, b"by url", method="PUT"))
    get = s3.generate_presigned_url("get_object", {"Bucket": "plain", "Key": "signed ä"}, 60)
    assert urllib.request.urlopen(get).read() == b"by url"
    assert status_of(get.replace("signed", "singed")) == 403
    short = s3.generate_presigned_url("get_object", {"Bucket": "plain", "Key": "signed ä"}, 1)
    deadline = time.monotonic() + 10
    while status_of(short) != 403:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def status_of(url):
    try:
        return urllib.request.urlopen(url).status
    except urllib.error.HTTPError as error:
        return error.code


@check
def what_is_not_signed_is_refused(server):
    s3 = server.client(signature_version="s3v4")
    s3.put_object(Bucket="kept", Key="private", Body=b"private")
    s3.put_object(Bucket="plain", Key="inbox", Body=b"before")
    upload = s3.generate_presigned_url("put_object", {"Bucket": "plain", "Key": "inbox"}, 60)
    assert wire.send("PUT", upload, {"x-amz-copy-source": "kept/private"}) == (403, "AccessDenied")
    assert wire.send("PUT", upload, {"x-amz-meta-role": "admin"}, b"x") == (403, "AccessDenied")
    assert s3.get_object(Bucket="plain", Key="inbox")["Body"].read() == b"before"
    signed = wire.signed(server, "PUT", "/plain/inbox", b"x")
    assert wire.send("PUT", server.endpoint + "/plain/inbox", {**signed, "x-amz-storage-class": "STANDARD"}, b"x") == (403, "AccessDenied")
    assert wire.send("PUT", server.endpoint + "/plain/inbox", signed, b"x") == (200, None)
    # Version 2 with a parameter of version 4 beside it.
    old = server.client(signature_version="s3").generate_presigned_url("get_object", {"Bucket": "plain", "Key": "inbox"}, 60)
    assert "AWSAccessKeyId=" in old
    for url in [old, old + "&X-Amz-Signature=0", old + "&X-Amz-Signature=0&X-Amz-SignedHeaders=host"]:
        assert wire.send("GET", url) == (403, "AccessDenied"), url


@check
def chunks_of_a_body_are_bounded(server):
    before = server.resident_kib()
    path, length = "/plain/chunk", 64 * MIB
    signed = wire.signed(server, "PUT", path, b"", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", length)
    head = f"{length:x};chunk-signature={'0' * 64}\r\n".encode()
    assert wire.send("PUT", server.endpoint + path, signed, head + bytes(length)) == (400, "EntityTooLarge")
    # One chunk that is not signed by itself may be as long as it likes, and is not held whole.
    trailers = {"x-amz-trailer": "x-amz-checksum-crc32"}
    crc32 = base64.b64encode(zlib.crc32(bytes(length)).to_bytes(4, "big")).decode()
    behind = f"\r\n0\r\nx-amz-checksum-crc32:{crc32}\r\n\r\n".encode()
    signed = wire.signed(server, "PUT", path, b"", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", length, trailers)
    assert wire.send("PUT", server.endpoint + path, signed, f"{length:x}\r\n".encode() + bytes(length) + behind) == (200, None)
    assert server.resident_kib() - before < 16 * 1024, (before, server.resident_kib())
    assert server.client().head_object(Bucket="plain", Key="chunk")["ContentLength"] == length
    wrong = behind.replace(crc32.encode(), b"AAAAAA==")
    assert wire.send("PUT", server.endpoint + path, signed, f"{length:x}\r\n".encode() + bytes(length) + wrong) == (400, "BadDigest")


@check
def what_a_request_says_is_carried_out_or_refused(server):
    s3 = server.client()
    etag = s3.put_object(Bucket="plain", Key="said", Body=b"1")["ETag"]
    copy = {"Bucket": "plain", "Key": "said", "CopySource": "plain/said", "MetadataDirective": "REPLACE"}
    assert refused(s3.copy_object, **copy, IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refused(s3.copy_object, **copy, IfMatch='"0"') == ("PreconditionFailed", 412)
    assert refused(s3.copy_object, **copy, IfMatch=etag) == ("accepted", 200)
    for call, said in [(s3.get_object, {}), (s3.put_object, {"Body": b"2"}), (s3.delete_object, {})]:
        assert refused(call, Bucket="plain", Key="said", ExpectedBucketOwner="123456789012", **said) == ("AccessDenied", 403)
    assert refused(s3.get_object, Bucket="plain", Key="said", ExpectedBucketOwner="mainstay") == ("accepted", 200)
    assert refused(s3.delete_object, Bucket="plain", Key="said", MFA="1 2") == ("NotImplemented", 501)
    part = {"if-match": '"0"'}
    assert wire.send("GET", server.endpoint + "/plain?list-type=2", wire.signed(server, "GET", "/plain?list-type=2", b"", more=part)) == (501, "NotImplemented")
    upload = s3.create_multipart_upload(Bucket="plain", Key="said")["UploadId"]
    where = {"Bucket": "plain", "Key": "said", "UploadId": upload}
    etag = s3.upload_part(**where, PartNumber=1, Body=b"part")["ETag"]
    whole = {**where, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    assert refused(s3.complete_multipart_upload, **whole, MpuObjectSize=-1) == ("InvalidArgument", 400)
    assert refused(s3.complete_multipart_upload, **whole, ChecksumType="COMPOSITE") == ("InvalidRequest", 400)
    assert refused(s3.complete_multipart_upload, **whole, MpuObjectSize=4) == ("accepted", 200)
    stale = wire.signed(server, "GET", "/plain/said", b"", more={"range": "bytes=0-0", "if-range": '"0"'})
    assert wire.send("GET", server.endpoint + "/plain/said", stale) == (200, None)


@check
def bodies_of_xml_have_the_digests_that_are_said(server):
    s3 = server.client()
    s3.put_object(Bucket="plain", Key="doomed", Body=b"x")
    body = b"<Delete><Object><Key>doomed</Key></Object></Delete>"
    md5 = lambda of: base64.b64encode(hashlib.md5(of).digest()).decode()
    for field, wrong, right in [("content-md5", md5(b"other"), md5(body)),
                                ("x-amz-checksum-crc32", "AAAAAA==", base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode())]:
        for value, expected in [(wrong, (400, "BadDigest")), (right, (200, None))]:
            signed = wire.signed(server, "POST", "/plain?delete=", body, more={field: value})
            assert wire.send("POST", server.endpoint + "/plain?delete=", signed, body) == expected, (field, value)
            assert refused(s3.head_object, Bucket="plain", Key="doomed")[1] == (200 if expected[1] else 404)
        s3.put_object(Bucket="plain", Key="doomed", Body=b"x")


@check
def keys_in_a_body_are_keys(server):
    s3 = server.client()
    gone = s3.delete_objects(Bucket="kept", Delete={"Objects": [{"Key": "x" * 1025}, {"Key": "fits"}]})
    assert [(error["Key"], error["Code"]) for error in gone["Errors"]] == [("x" * 1025, "KeyTooLongError")]
    assert [deleted["Key"] for deleted in gone["Deleted"]] == ["fits"]
    body = b"<Delete><Object><Key></Key></Object></Delete>"
    signed = wire.signed(server, "POST", "/kept?delete=", body)
    status, text = wire.exchange("POST", server.endpoint + "/kept?delete=", signed, body)
    assert status == 200 and b"<Code>InvalidArgument</Code>" in text, text


@check
def slow_uploads_of_one_key_leave_the_others_their_turn(server):
    s3 = server.client(signature_version="s3v4")
    slow = []
    try:
        for number in range(70):
            url = s3.generate_presigned_url("put_object", {"Bucket": "plain", "Key": f"slow/{number}"}, 60)
            slow.append(wire.begin("PUT", url, 100_000))
        server.client("worker", read_timeout=10).put_object(Bucket="other", Key="swift", Body=b"x" * 100_000)
    finally:
        [connection.close() for connection in slow]


@check
def uploads_are_listed_page_by_page(server):
    s3 = server.client()
    for key in ["list/", "list/a", "list/a", "list/b/1", "list/b/2", "list/c"]:
        s3.create_multipart_upload(Bucket="plain", Key=key)
    for size in [1, 2, 3, 1000]:
        listed, marker = [], {}
        while True:
            page = s3.list_multipart_uploads(Bucket="plain", Prefix="list/", Delimiter="/", MaxUploads=size, **marker)
            listed += sorted([upload["Key"] for upload in page.get("Uploads", [])] + [one["Prefix"] for one in page.get("CommonPrefixes", [])])
            assert len(listed) < 10
            if not page["IsTruncated"]:
                break
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}
        assert listed == ["list/", "list/a", "list/a", "list/b/", "list/c"], (size, listed)
    for upload in s3.list_multipart_uploads(Bucket="plain", Prefix="list/")["Uploads"]:
        s3.abort_multipart_upload(Bucket="plain", Key=upload["Key"], UploadId=upload["UploadId"])


@check
def a_server_out_of_descriptors_does_not_spin(server):
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), before[1]))
    try:
        with socket.socket(socket.AF_UNIX) as node:
            node.connect(server.folder + "/objects.sock")
            spent = server.processor_seconds()
            time.sleep(1)
            assert server.processor_seconds() - spent < 0.3
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert "applied" in server.tell({"settings": server.settings})


@check
def parts(server):
    s3, body = server.client(), os.urandom(23 * MIB + 7)
    transfer = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=6 * MIB, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(body), "plain", "parts", Config=transfer)
    read = io.BytesIO()
    s3.download_fileobj("plain", "parts", read, Config=transfer)
    assert read.getvalue() == body
    head = s3.head_object(Bucket="plain", Key="parts", PartNumber=2)
    assert head["PartsCount"] == 4 and head["ContentLength"] == 6 * MIB and head["ETag"].endswith('-4"')
    second = s3.get_object(Bucket="plain", Key="parts", PartNumber=2)["Body"].read()
    assert second == body[6 * MIB:12 * MIB]
    across = s3.get_object(Bucket="plain", Key="parts", Range=f"bytes={6 * MIB - 10}-{6 * MIB + 9}")["Body"].read()
    assert across == body[6 * MIB - 10:6 * MIB + 10]


@check
def parts_have_the_checksum_that_their_upload_was_begun_with(server):
    s3 = server.client(request_checksum_calculation="when_required")
    upload = s3.create_multipart_upload(Bucket="plain", Key="sums", ChecksumAlgorithm="CRC32")["UploadId"]
    where = {"Bucket": "plain", "Key": "sums", "UploadId": upload}
    assert refused(s3.upload_part, **where, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256")[0] == "InvalidRequest"
    part = s3.upload_part(**where, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")
    names = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]
    assert s3.complete_multipart_upload(**where, MultipartUpload={"Parts": names})["ChecksumCRC32"].endswith("-1")


@check
def parts_copied_listed_and_aborted(server):
    s3 = server.client()
    source = os.urandom(6 * MIB)
    s3.put_object(Bucket="plain", Key="source", Body=source)
    upload = s3.create_multipart_upload(Bucket="plain", Key="copied/parts", ContentType="a/b")["UploadId"]
    where = {"Bucket": "plain", "Key": "copied/parts", "UploadId": upload}
    first = s3.upload_part_copy(**where, PartNumber=1, CopySource="plain/source", CopySourceRange=f"bytes=0-{5 * MIB - 1}")
    second = s3.upload_part(**where, PartNumber=2, Body=b"end")
    listed = s3.list_parts(**where)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, 5 * MIB), (2, 3)]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket="plain", Prefix="copied/")["Uploads"]] == [upload]
    names = [{"PartNumber": 1, "ETag": first["CopyPartResult"]["ETag"]}, {"PartNumber": 2, "ETag": second["ETag"]}]
    assert refused(s3.complete_multipart_upload, **where, MultipartUpload={"Parts": names[::-1]}) == ("InvalidPartOrder", 400)
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": names})
    answer = s3.get_object(Bucket="plain", Key="copied/parts")
    assert answer["Body"].read() == source[:5 * MIB] + b"end" and answer["ContentType"] == "a/b"
    upload = s3.create_multipart_upload(Bucket="plain", Key="aborted")["UploadId"]
    s3.abort_multipart_upload(Bucket="plain", Key="aborted", UploadId=upload)
    assert refused(s3.upload_part, Bucket="plain", Key="aborted", UploadId=upload, PartNumber=1, Body=b"")[0] == "NoSuchUpload"


@check
def versions(server):
    s3 = server.client()
    first, second = (s3.put_object(Bucket="kept", Key="v", Body=body)["VersionId"] for body in (b"1", b"2"))
    marker = s3.delete_object(Bucket="kept", Key="v")
    assert marker["DeleteMarker"] and refused(s3.get_object, Bucket="kept", Key="v") == ("NoSuchKey", 404)
    assert s3.get_object(Bucket="kept", Key="v", VersionId=first)["Body"].read() == b"1"
    assert refused(s3.get_object, Bucket="kept", Key="v", VersionId=marker["VersionId"])[1] == 405
    listed = s3.list_object_versions(Bucket="kept", Prefix="v")
    assert [(version["VersionId"], version["IsLatest"]) for version in listed["Versions"]] == [(second, False), (first, False)]
    assert [(m["VersionId"], m["IsLatest"]) for m in listed["DeleteMarkers"]] == [(marker["VersionId"], True)]
    s3.delete_object(Bucket="kept", Key="v", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket="kept", Key="v")["Body"].read() == b"2"
    assert s3.get_bucket_versioning(Bucket="kept")["Status"] == "Enabled"


@check
def copies_tags_and_deletions(server):
    s3 = server.client()
    s3.put_object(Bucket="plain", Key="from", Body=b"copy me", Metadata={"a": "1"}, Tagging="t=1&u=x%20y")
    s3.copy_object(Bucket="plain", Key="to", CopySource="plain/from")
    assert s3.head_object(Bucket="plain", Key="to")["Metadata"] == {"a": "1"}
    assert s3.get_object_tagging(Bucket="plain", Key="to")["TagSet"] == [{"Key": "t", "Value": "1"}, {"Key": "u", "Value": "x y"}]
    s3.copy_object(Bucket="plain", Key="to", CopySource="plain/from", MetadataDirective="REPLACE", Metadata={"b": "2"})
    assert s3.head_object(Bucket="plain", Key="to")["Metadata"] == {"b": "2"}
    assert refused(s3.copy_object, Bucket="plain", Key="to", CopySource="plain/to")[0] == "InvalidRequest"
    s3.put_object_tagging(Bucket="plain", Key="to", Tagging={"TagSet": [{"Key": "n", "Value": ""}]})
    s3.delete_object_tagging(Bucket="plain", Key="to")
    assert s3.get_object_tagging(Bucket="plain", Key="to")["TagSet"] == []
    gone = s3.delete_objects(Bucket="plain", Delete={"Objects": [{"Key": key} for key in ("from", "to", "absent")]})
    assert len(gone["Deleted"]) == 3 and "Errors" not in gone
    assert refused(s3.head_object, Bucket="plain", Key="to")[1] == 404


@check
def what_is_not_there_is_refused(server):
    s3 = server.client()
    assert refused(s3.put_object, Bucket="plain", Key="x", Body=b"", ServerSideEncryption="AES256") == ("NotImplemented", 501)
    assert refused(s3.put_object, Bucket="plain", Key="x", Body=b"", ACL="public-read") == ("NotImplemented", 501)
    assert refused(s3.put_object, Bucket="plain", Key="x", Body=b"", StorageClass="GLACIER") == ("NotImplemented", 501)
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    assert refused(s3.put_bucket_lifecycle_configuration, Bucket="plain", LifecycleConfiguration={"Rules": [rule]}) == ("NotImplemented", 501)
    assert refused(s3.put_bucket_acl, Bucket="plain", ACL="public-read") == ("NotImplemented", 501)
    assert refused(s3.get_bucket_website, Bucket="plain") == ("NotImplemented", 501)
    assert refused(s3.create_bucket, Bucket="plain") == ("BucketAlreadyOwnedByYou", 409)
    assert refused(s3.head_object, Bucket="plain", Key="x")[1] == 404


@check
def changed_settings_hold_at_once(server):
    before = server.settings
    changed = {**before, "number": 2, "keys": [{**before["keys"][0], "secret": "rotated"}, before["keys"][1]]}
    old = server.client()
    assert server.tell({"settings": changed}) == {"applied": {"settings": 2}}
    assert refused(old.list_buckets) == ("SignatureDoesNotMatch", 403)
    bad = {**before, "number": 3, "keys": [{"id": "x", "secret": "y", "buckets": ["absent"]}]}
    assert "refused" in server.tell({"settings": bad})
    assert server.tell({"settings": {**before, "number": 4}}) == {"applied": {"settings": 4}}
    old.list_buckets()


@check
def a_server_killed_in_uploads_loses_nothing_it_acknowledged(server):
    acknowledged, stop = {}, threading.Event()
    def upload(writer, first):
        # What one round writes, no other does.
        s3, number = server.client(), first
        while not stop.is_set():
            number += 1
            body = f"{writer} {number} ".encode() * (50_000 if number % 3 == 0 else 500)
            try:
                s3.put_object(Bucket="plain", Key=f"crash/{writer}/{number % 10}", Body=body)
                acknowledged.setdefault((writer, number % 10), []).append(number)
            except (ClientError, BotoCoreError):
                return
    for kill in range(5):
        stop.clear()
        threads = [threading.Thread(target=upload, args=[writer, kill * 1_000_000]) for writer in range(4)]
        [thread.start() for thread in threads]
        deadline = time.monotonic() + random.uniform(0.5, 1.5)
        while time.monotonic() < deadline or sum(map(len, acknowledged.values())) < 8:
            time.sleep(0.01)
        server.kill()
        stop.set()
        [thread.join() for thread in threads]
        server.start()
        s3 = server.client()
        for (writer, slot), numbers in acknowledged.items():
            body = s3.get_object(Bucket="plain", Key=f"crash/{writer}/{slot}")["Body"].read()
            found = int(body.split()[1])
            assert body == f"{writer} {found} ".encode() * (50_000 if found % 3 == 0 else 500), "torn"
            assert found >= numbers[-1], (found, numbers[-1])
        acknowledged.clear()


@check
def memory_stays_bounded(server):
    idle = server.resident_kib()
    def up_and_down(number):
        s3 = server.client()
        s3.put_object(Bucket="plain", Key=f"big/{number}", Body=bytes(64 * MIB))
        for _ in s3.get_object(Bucket="plain", Key=f"big/{number}")["Body"].iter_chunks(MIB):
            pass
    threads = [threading.Thread(target=up_and_down, args=[number]) for number in range(4)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    busy = server.resident_kib()
    print(f"memory: {idle} KiB before, {busy} KiB after four uploads and downloads of 64 MiB at once")
    assert busy < 100 * 1024, busy


def main(program):
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(program, folder)
        print(f"memory: {server.resident_kib()} KiB after the start")
        try:
            for one in CHECKS:
                try:
                    one(server)
                except Exception:
                    failed += 1
                    print(f"FAILED {one.__name__}\n{traceback.format_exc()}")
        finally:
            server.kill()
    print(f"sdk: {len(CHECKS) - failed} of {len(CHECKS)} checks hold")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) and 1)
