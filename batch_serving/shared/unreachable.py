"""A place that cannot be read is an error with a remedy; it is never taken for an empty one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

SETTING = "BATCH_OUTPUT"

# What S3 answers, and what to do: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_DENIED = "access is denied"
_ALLOW = {
    # Without the right to list, S3 denies an object that does not exist.
    "read": "allow these credentials s3:GetObject and s3:ListBucket",
    "written": "allow these credentials s3:PutObject",
    "deleted": "allow these credentials s3:DeleteObject",
}
_EXPIRED = ("the credentials have expired", "renew them (AWS_SESSION_TOKEN)")
_INVALID = ("the credentials are not valid", "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
_LACKING = ("there are no credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
_REGION = ("the bucket is in another region", "set AWS_DEFAULT_REGION to the bucket's region")
_BUSY = ("the storage is out of order or too busy", "try again later")
_SILENT = ("there is no answer", "correct AWS_ENDPOINT_URL, or start the storage")
_CUT = ("the answer breaks off", "try again later, or check the network")
_LATE = ("there is no answer in time", "try again later, or set BATCH_S3_TIMEOUT_S to more seconds")
_OTHER = (
    "the answer does not come from S3",
    "correct AWS_ENDPOINT_URL; a proxy or a login page may answer in its place",
)
_FULL = ("the storage is full", "free some space")
REASONS = {
    "NoSuchBucket": ("the bucket does not exist", f"create it, or correct its name ({SETTING}, or YAML)"),
    "InvalidBucketName": ("the bucket's name is not valid", f"correct it ({SETTING}, or YAML)"),
    "ParamValidationError": ("the bucket's name is not valid", f"correct it ({SETTING}, or YAML)"),
    "KeyTooLongError": ("its name is too long", "use a shorter prefix or name"),
    "InvalidObjectState": ("the object is archived", "restore it, and exclude it from archiving"),
    "NotImplemented": (
        "the storage does not know this kind of request",
        "use one with conditional requests (If-Match, If-None-Match), as S3 has them",
    ),
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "InvalidAccessKeyId": _INVALID,
    "SignatureDoesNotMatch": _INVALID,
    "NoCredentialsError": _LACKING,
    "PartialCredentialsError": _LACKING,
    "CredentialRetrievalError": _LACKING,
    "ProfileNotFound": ("there is no such profile", "correct AWS_PROFILE"),
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "NoRegionError": ("no region is set", "set AWS_DEFAULT_REGION to the bucket's region"),
    "InvalidRegionError": ("the region is not valid", "correct AWS_DEFAULT_REGION"),
    "301": _REGION,
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set the clock"),
    "EndpointConnectionError": _SILENT,
    "ConnectionRefusedError": ("the connection is refused", "correct AWS_ENDPOINT_URL, or start the storage"),
    "ClientConnectorDNSError": (
        "the name of its server is not known",
        "correct AWS_ENDPOINT_URL, or check the network's DNS",
    ),
    "ProxyConnectionError": ("the proxy does not answer", "correct HTTPS_PROXY or HTTP_PROXY"),
    "SSLError": (
        "there is no secure connection (TLS)",
        "correct http:// or https:// in AWS_ENDPOINT_URL, or name the certificate in AWS_CA_BUNDLE",
    ),
    "ValueError": ("its address is not valid", "write AWS_ENDPOINT_URL as https://host:port"),
    "ConnectTimeoutError": _LATE,
    "ReadTimeoutError": _LATE,
    "FSTimeoutError": _LATE,
    "TimeoutError": _LATE,
    "ConnectionClosedError": _CUT,
    "ClientPayloadError": _CUT,
    "IncompleteReadError": _CUT,
    "ResponseStreamingError": _CUT,
    "ConnectionResetError": _CUT,
    "ServerDisconnectedError": _CUT,
    "FlexibleChecksumError": _CUT,
    "NotS3Error": _OTHER,
    "ResponseParserError": _OTHER,
    "HTTPClientError": _OTHER,  # for example too many redirects
    "RecursionError": _OTHER,
    "SlowDown": _BUSY,
    "TooManyRequests": _BUSY,
    "ServiceUnavailable": _BUSY,
    "InternalError": _BUSY,
    "ConditionalRequestConflict": _BUSY,
    "OperationAborted": _BUSY,
    "XMinioStorageFull": _FULL,
    "InsufficientStorage": _FULL,
    "QuotaExceeded": _FULL,
}
_GONE = ("the network disk does not answer", "mount it again")
_LOCAL = {
    errno.EACCES: (_DENIED, "give this user access"),
    errno.EPERM: (_DENIED, "give this user access, or remove the file's protection (lsattr)"),
    errno.EISDIR: ("it is a folder and not a file", "move that folder away"),
    errno.ELOOP: ("it is a link that leads to itself", "correct the link"),
    errno.ENAMETOOLONG: ("its name is too long", f"use a shorter name or folder ({SETTING}, or YAML)"),
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the quota of this user is used up", "free some space, or raise the quota"),
    errno.EROFS: ("the disk is read-only", "mount it for writing"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("too many files are open", "raise the limit (fs.file-max)"),
    errno.ESTALE: _GONE,
    errno.ENOTCONN: _GONE,
    errno.ETIMEDOUT: _GONE,
    errno.EHOSTDOWN: _GONE,
    errno.EHOSTUNREACH: _GONE,
    errno.EIO: ("the disk has an error", "repair the disk"),
}


class UnreachableError(Exception):
    """A file or a folder cannot be read or written; it is not known whether it exists.

    No OSError: who handles a file that is missing or corrupt must not handle this as well.
    """

    def __init__(self, place: object, action: str, reason: str, remedy: str) -> None:
        """Say which place it is, why, and what to do."""
        super().__init__(f"{place} cannot be {action}: {reason}; {remedy}")


def of_local(path: Path, action: str, error: OSError) -> UnreachableError:
    """Return the error for a path on this machine's disk."""
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        file = next((place for place in path.parents if os.path.lexists(place) and not place.is_dir()), path)
        return UnreachableError(path, action, f"{file} is a file and not a folder", "move that file away")
    reason, remedy = _LOCAL.get(error.errno or 0, (error.strerror or type(error).__name__, "check the disk"))
    return UnreachableError(path, action, reason, remedy)


def of_storage(path: Any, action: str, error: BaseException) -> UnreachableError:
    """Return the error for object storage; without the storage's own text, in which keys may be."""
    code = code_of(error)
    reason, remedy = REASONS.get(code) or _reason_of(code, status_of(error), action)
    shown = reason if code in reason else f"{reason} ({code})"
    return UnreachableError(path, action, shown, remedy)


def _reason_of(code: str, status: int, action: str) -> tuple[str, str]:
    """Return what an answer says by its status, where its code is not known."""
    if status == 403:
        return _DENIED, _ALLOW[action]
    if status >= 500 or status == 429:
        return _BUSY
    if not status:
        return _SILENT
    return f"the storage answers {code}", "check AWS_ENDPOINT_URL, the bucket and the credentials"


def code_of(error: BaseException) -> str:
    """Return the code of S3's answer, or without one the name of the exception that says most."""
    cause: BaseException = error
    while True:
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code") or status_of(cause))
        if cause.__cause__ is None or isinstance(cause, TimeoutError):
            return _name_of(cause)
        cause = cause.__cause__


def _name_of(error: BaseException) -> str:
    """Return the name of an exception; of one that only says that there is no connection, the reason's."""
    inner = getattr(error, "kwargs", {}).get("error")  # of botocore: what its HTTP client has raised
    for reason in (getattr(inner, "os_error", None), inner):
        if reason is not None and type(reason).__name__ in REASONS:
            return type(reason).__name__
    return type(error).__name__


def status_of(error: BaseException) -> int:
    """Return the HTTP status of S3's answer, 0 without one."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        cause = cause.__cause__
    return 0


def check_links(path: Path, action: str) -> None:
    """Raise UnreachableError if a path does not exist because it is, or is below, a link to nowhere."""
    for place in (path, *path.parents):
        if os.path.lexists(place):
            if not place.exists():
                reason = f"{place} is a link to a place that does not exist"
                raise UnreachableError(path, action, reason, "mount that place, or correct the link")
            return
