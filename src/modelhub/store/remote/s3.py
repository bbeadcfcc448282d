"""Objects in a bucket of S3, by s3fs."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from modelhub.errors import StoreUnavailable
from modelhub.store.outgoing import Outgoing
from modelhub.store.remote.objects import Objects, Seen, Stored, code_of, tag_of

PART = 16 << 20
"""Bytes of a part of an upload."""
_MOST_PARTS = 10_000
_AT_ONCE = 4
# The last: an answer got lost, and what is asked again was ended by the first time.
_TAKEN = frozenset({"PreconditionFailed", "412", "NoSuchUpload"})
_CHANGED = frozenset({"PreconditionFailed", "412"})
_NO_CONDITION = frozenset({"NotImplemented", "501"})


class S3Objects(Objects):
    """The objects of `s3://bucket/prefix`.

    Credentials, region and all else come from where s3fs looks: the environment, the files of
    `~/.aws`, a role, and fsspec's own configuration.
    """

    def __init__(self, uri: str, endpoint: str | None, timeout: float = 20.0) -> None:
        super().__init__(uri)
        self.bucket, _, prefix = uri.partition("://")[2].partition("/")
        self._prefix = prefix.strip("/")
        if not self.bucket:
            reason = "it names no bucket"
            raise StoreUnavailable(
                f"the store {uri!r} cannot be used: {reason}",
                hint="Write it as s3://bucket/prefix.",
                store=uri,
                reason=reason,
            )
        self._fs = _filesystem(uri, endpoint, timeout)
        self.failures = _failures()

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _call(self, method: str, key: str | None = None, **given: Any) -> dict[str, Any]:
        named = {} if key is None else {"Key": self._key(key)}
        return dict(self._fs.call_s3(method, Bucket=self.bucket, **named, **given))

    def look(self, key: str) -> Seen | None:
        try:
            answer = self._call("head_object", key)
        except FileNotFoundError:
            return None
        return Seen(int(answer["ContentLength"]), str(answer.get("ETag", "")))

    def read(self, key: str, start: int, end: int) -> bytes:
        return bytes(self._fs.cat_file(f"{self.bucket}/{self._key(key)}", start=start, end=end))

    def create(self, key: str, data: Outgoing) -> bool:
        data.rewind()
        if data.size <= PART:
            whole = data.read(PART)
            data.confirm()
            return self._unless_there(lambda: self._call("put_object", key, Body=whole, IfNoneMatch="*"))
        upload = self._call("create_multipart_upload", key)["UploadId"]
        try:
            parts = self._parts(key, upload, data)
            data.confirm()
            whole_of = {"UploadId": upload, "MultipartUpload": {"Parts": parts}, "IfNoneMatch": "*"}
            made = self._unless_there(lambda: self._call("complete_multipart_upload", key, **whole_of))
        except BaseException:
            self._abort(key, upload)
            raise
        if not made:
            self._abort(key, upload)
        return made

    def _parts(self, key: str, upload: str, data: Outgoing) -> list[dict[str, Any]]:
        """Send all parts, a few at a time."""
        step = _step(data.size)
        waiting: deque[Future[dict[str, Any]]] = deque()
        sent: list[dict[str, Any]] = []
        with ThreadPoolExecutor(_AT_ONCE, "modelhub-upload") as pool:
            for number in range(1, -(-data.size // step) + 1):
                waiting.append(pool.submit(self._part, key, upload, number, data.read(step)))
                if len(waiting) > _AT_ONCE:
                    sent.append(waiting.popleft().result())
            sent += [each.result() for each in waiting]
        return sent

    def tag_of(self, data: Outgoing) -> str:
        data.rewind()
        step = data.size if data.size <= PART else _step(data.size)
        count = max(1, -(-data.size // max(1, step)))
        tag = tag_of(data.read(step) for _ in range(count))
        data.confirm()
        return tag

    def _part(self, key: str, upload: str, number: int, body: bytes) -> dict[str, Any]:
        answer = self.attempt(
            "take a part of a blob",
            lambda: self._call("upload_part", key, UploadId=upload, PartNumber=number, Body=body),
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _unless_there(self, write: Callable[[], object]) -> bool:
        try:
            write()
        except FileExistsError:
            return False
        except OSError as error:
            if code_of(error) in _TAKEN:
                return False
            raise
        return True

    def _abort(self, key: str, upload: str) -> None:
        """Give an upload up; what cannot be given up now, `abort_stale` finds."""
        try:
            self._call("abort_multipart_upload", key, UploadId=upload)
        except self.failures:
            return

    def copy(self, key: str, target: str) -> None:
        whole = f"{self.bucket}/{self._key(key)}"
        self._fs.cp_file(whole, f"{self.bucket}/{self._key(target)}")

    def remove(self, key: str) -> None:
        self._call("delete_object", key)

    def remove_seen(self, key: str, tag: str) -> None:
        # Some servers ignore the condition, so it is looked at here too.
        seen = self.look(key)
        if seen is None or seen.tag != tag:
            return
        given = {"IfMatch": tag} if tag else {}
        try:
            self._call("delete_object", key, **given)
        except FileNotFoundError:
            return  # it went
        except (OSError, NotImplementedError) as error:  # the latter is how s3fs says a server's 501
            if code_of(error) in _NO_CONDITION:
                self.remove(key)
            elif code_of(error) not in _CHANGED:
                raise

    def listed(self, prefix: str) -> Iterator[Stored]:
        start = len(self._key(""))
        after: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=self._key(prefix), **after)
            for each in page.get("Contents", ()):
                yield Stored(each["Key"][start:], int(each["Size"]), _time(each["LastModified"]))
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def abort_stale(self, before: datetime) -> int:
        # Some servers know no prefix here, so each key is looked at.
        found = self._call("list_multipart_uploads").get("Uploads") or ()
        mine = [each for each in found if each["Key"].startswith(self._key(""))]
        stale = [each for each in mine if _time(each["Initiated"]) < before]
        for each in stale:
            self._call("abort_multipart_upload", **{n: each[n] for n in ("Key", "UploadId")})
        return len(stale)

    def probe(self) -> str:
        self._call("list_objects_v2", MaxKeys=1, Prefix=self._key(""))
        return f"the bucket {self.bucket} answers"

    def close(self) -> None:
        if (session := getattr(self._fs, "_s3creator", None)) is not None:
            self._fs.close_session(self._fs.loop, session)


def _step(size: int) -> int:
    """Bytes of each part but the last, of an upload of `size` bytes."""
    return max(PART, -(-size // _MOST_PARTS))


def _time(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _filesystem(uri: str, endpoint: str | None, timeout: float) -> Any:
    try:
        import s3fs  # noqa: F401
        from fsspec import filesystem
    except ImportError as error:
        raise StoreUnavailable(
            f"the store {uri} needs the package s3fs, which is not installed",
            hint='Run: pip install "modelhub[s3]"',
            store=uri,
            reason="s3fs is not installed",
        ) from error
    config = {
        "connect_timeout": min(timeout, 10),
        "read_timeout": timeout,
        "retries": {"mode": "standard", "total_max_attempts": 3},
    }
    given = {"endpoint_url": endpoint} if endpoint else {}
    # Listings are never believed, and a store closes what it opened.
    own = {"use_listings_cache": False, "skip_instance_cache": True}
    try:
        found = filesystem("s3", config_kwargs=config, **own, **given)
    except (OSError, ValueError, TypeError) as error:
        reason = f"its configuration is wrong: {error}"
        raise StoreUnavailable(
            f"the store {uri} cannot be used: {reason}",
            hint="Look at the settings for s3 in fsspec's configuration.",
            store=uri,
            reason=reason,
        ) from error
    found.retries = 1  # `attempt` asks again, and botocore below
    return found


def _failures() -> tuple[type[Exception], ...]:
    """What s3fs lets through of the libraries below it."""
    from aiohttp import ClientError as HttpError
    from botocore.exceptions import BotoCoreError, ClientError

    return (*Objects.failures, BotoCoreError, ClientError, HttpError, ValueError)
