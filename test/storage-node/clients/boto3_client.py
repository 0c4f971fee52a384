"""boto3 against a storage node: the environment says where it is. Ends with an assertion error, or prints OK."""

import base64
import hashlib
import io
import os

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

KEY = os.environ["NODE_KEY"]
BUCKET = "boto3-bucket"
s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["NODE_URL"],
    region_name="us-east-1",
    verify=os.environ["NODE_CA"],
    config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
)


def error_of(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def read(key, **arguments):
    return s3.get_object(Bucket=BUCKET, Key=key, **arguments)["Body"].read()


CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
CONTEXT = base64.b64encode(b'{"a":"b"}').decode()
KINDS = {
    "none": {},
    "s3": {"ServerSideEncryption": "AES256"},
    "kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY, "SSEKMSEncryptionContext": CONTEXT},
    "c": CUSTOMER,
}

s3.create_bucket(Bucket=BUCKET)
data = os.urandom(200_000)
for name, encryption in KINDS.items():
    reading = CUSTOMER if name == "c" else {}
    put = s3.put_object(Bucket=BUCKET, Key=f"put/{name}", Body=data, Metadata={"x": "y"}, **encryption)
    assert put.get("ServerSideEncryption") == encryption.get("ServerSideEncryption")
    assert read(f"put/{name}", **reading) == data
    assert read(f"put/{name}", Range="bytes=65530-140000", **reading) == data[65530:140001]
    head = s3.head_object(Bucket=BUCKET, Key=f"put/{name}", **reading)
    assert (head["ContentLength"], head["ETag"], head["Metadata"]) == (len(data), put["ETag"], {"x": "y"})
    source = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": b"k" * 32} if name == "c" else {}
    s3.copy_object(
        Bucket=BUCKET,
        Key=f"copy/{name}",
        CopySource={"Bucket": BUCKET, "Key": f"put/{name}"},
        ServerSideEncryption="AES256",
        **source,
    )
    assert read(f"copy/{name}") == data

# The transfer manager: 100 MiB in parts, up and down.
large = os.urandom(1024 * 1024) * 100
transfer = TransferConfig(multipart_chunksize=16 * 1024 * 1024, max_concurrency=3)
s3.upload_fileobj(io.BytesIO(large), BUCKET, "large", ExtraArgs=KINDS["kms"], Config=transfer)
back = io.BytesIO()
s3.download_fileobj(BUCKET, "large", back, Config=transfer)
assert hashlib.sha256(back.getvalue()).digest() == hashlib.sha256(large).digest()

listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="put/")["Contents"]
assert [(entry["Key"], entry["Size"]) for entry in listed] == [(f"put/{name}", len(data)) for name in sorted(KINDS)]
pages = s3.get_paginator("list_objects").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 2})
assert sum(len(page["Contents"]) for page in pages) == 9
folders = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")["CommonPrefixes"]
assert [folder["Prefix"] for folder in folders] == ["copy/", "put/"]

rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}}]}
assert error_of(s3.get_bucket_encryption, Bucket=BUCKET) == "ServerSideEncryptionConfigurationNotFoundError"
s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration=rule)
assert s3.put_object(Bucket=BUCKET, Key="default", Body=b"x")["SSEKMSKeyId"] == f"arn:aws:kms:{KEY}"
s3.delete_bucket_encryption(Bucket=BUCKET)

# Presigned: a URL to read, and a form to write.
import urllib.request  # noqa: E402
import ssl  # noqa: E402

tls = ssl.create_default_context(cafile=os.environ["NODE_CA"])
url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "put/s3"}, ExpiresIn=60)
assert urllib.request.urlopen(url, context=tls).read() == data
fields = {"x-amz-server-side-encryption": "AES256"}
form = s3.generate_presigned_post(BUCKET, "form/${filename}", Fields=fields, Conditions=[fields])
boundary = "boundary0123456789"
body = b"".join(
    f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, value in form["fields"].items()
)
body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="n.txt"\r\n\r\nhello\r\n--{boundary}--\r\n'.encode()
post = urllib.request.Request(form["url"], body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
answer = urllib.request.urlopen(post, context=tls)
assert (answer.status, answer.headers["x-amz-server-side-encryption"]) == (204, "AES256")
assert read("form/n.txt") == b"hello"

assert error_of(s3.get_object, Bucket=BUCKET, Key="nothing") == "NoSuchKey"
assert error_of(s3.head_object, Bucket=BUCKET, Key="nothing") == "404"
assert error_of(s3.list_objects_v2, Bucket="no-such-bucket") == "NoSuchBucket"
assert error_of(s3.get_object, Bucket=BUCKET, Key="put/c") == "InvalidRequest"
other = {**CUSTOMER, "SSECustomerKey": b"x" * 32}
assert error_of(s3.get_object, Bucket=BUCKET, Key="put/c", **other) == "AccessDenied"
assert error_of(s3.put_object, Bucket=BUCKET, Key="default", Body=b"x", IfNoneMatch="*") == "PreconditionFailed"
assert error_of(s3.delete_bucket, Bucket=BUCKET) == "BucketNotEmpty"

objects = [{"Key": entry["Key"]} for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
assert len(s3.delete_objects(Bucket=BUCKET, Delete={"Objects": objects})["Deleted"]) == len(objects)
s3.delete_bucket(Bucket=BUCKET)
print("OK")
