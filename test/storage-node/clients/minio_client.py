"""The MinIO client library for Python against a storage node. Ends with an assertion error, or prints OK."""

import io
import os
from datetime import timedelta
from urllib.parse import urlparse

import urllib3
from minio import Minio
from minio.commonconfig import ComposeSource, CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.sse import SseCustomerKey, SseKMS, SseS3
from minio.sseconfig import Rule, SSEConfig

KEY = os.environ["NODE_KEY"]
BUCKET = "minio-bucket"
pool = urllib3.PoolManager(ca_certs=os.environ["NODE_CA"], retries=False)
client = Minio(
    urlparse(os.environ["NODE_URL"]).netloc,
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    http_client=pool,
)


def error_of(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except S3Error as error:
        return error.code
    return None


def read(name, **arguments):
    answer = client.get_object(BUCKET, name, **arguments)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


client.make_bucket(BUCKET)
assert client.bucket_exists(BUCKET) and not client.bucket_exists("no-such-bucket")
data = os.urandom(200_000)
customer = SseCustomerKey(b"k" * 32)
for name, sse in {"none": None, "s3": SseS3(), "kms": SseKMS(KEY, {"a": "b"}), "c": customer}.items():
    reading = {"ssec": customer} if name == "c" else {}
    client.put_object(BUCKET, name, io.BytesIO(data), len(data), sse=sse, metadata={"x": "y"})
    assert read(name, **reading) == data
    assert read(name, offset=65530, length=100_000, **reading) == data[65530:165530]
    stat = client.stat_object(BUCKET, name, **reading)
    assert (stat.size, stat.metadata["x-amz-meta-x"]) == (len(data), "y")
    client.copy_object(BUCKET, f"copy-{name}", CopySource(BUCKET, name, **reading), sse=SseS3())
    assert read(f"copy-{name}") == data

# In parts of 16 MiB, and a length that is not known before.
large = os.urandom(1024 * 1024) * 100
client.put_object(BUCKET, "large", io.BytesIO(large), -1, part_size=16 * 1024 * 1024, sse=SseKMS(KEY, {}))
assert read("large") == large
client.compose_object(BUCKET, "composed", [ComposeSource(BUCKET, "large"), ComposeSource(BUCKET, "none")], sse=SseS3())
assert read("composed") == large + data

names = [entry.object_name for entry in client.list_objects(BUCKET, recursive=True)]
assert names == sorted(names) and len(names) == 10
client.set_bucket_encryption(BUCKET, SSEConfig(Rule.new_sse_s3_rule()))
assert client.get_bucket_encryption(BUCKET).rule.sse_algorithm == "AES256"
client.delete_bucket_encryption(BUCKET)
assert client.get_bucket_encryption(BUCKET) is None

url = client.presigned_get_object(BUCKET, "s3", expires=timedelta(minutes=1))
assert pool.request("GET", url).data == data
url = client.presigned_put_object(BUCKET, "presigned", expires=timedelta(minutes=1))
assert pool.request("PUT", url, body=b"presigned").status == 200
assert read("presigned") == b"presigned"

assert error_of(client.stat_object, BUCKET, "nothing") == "NoSuchKey"
assert error_of(client.get_object, BUCKET, "nothing") == "NoSuchKey"
assert error_of(client.get_object, BUCKET, "c") == "InvalidRequest"
assert error_of(client.put_object, BUCKET, "x", io.BytesIO(b""), 0, sse=SseKMS("no-such-key", {})) == "kms:KeyNotFound"
assert error_of(client.remove_bucket, BUCKET) == "BucketNotEmpty"

doomed = [DeleteObject(entry.object_name) for entry in client.list_objects(BUCKET, recursive=True)]
assert list(client.remove_objects(BUCKET, doomed)) == []
client.remove_bucket(BUCKET)
print("OK")
