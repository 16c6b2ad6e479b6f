"""What can be wrong with a value to store, or with what is stored."""

from __future__ import annotations

from pathlib import Path

from weft.errors import StoredDataError, UserError


class Unstorable(UserError):
    """A value holds something that cannot outlive its process.

    Attributes:
        path: where in the value it stands, such as ``result['rows'][3].conn``.
        type_name: what stands there.
    """

    code = "unstorable"

    def __init__(self, path: str, type_name: str, *, why: str, hint: str) -> None:
        super().__init__(f"{path}: a {type_name} cannot be stored: {why}", hint=hint)
        self.path = path
        self.type_name = type_name


class StoreNotWritable(UserError):
    """The folder of artifacts refuses to be written to."""

    code = "store-not-writable"

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"{folder}: cannot write artifacts: {reason}",
            hint="Give this user write permission, or point WEFT_HOME to a folder that has it.",
        )
        self.folder = folder


class StoreFault(StoredDataError):
    """The disk failed to read, write or sync under the artifacts. Nothing refers to what was being written."""

    code = "store-fault"

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"the disk failed under the artifacts in {folder}: {reason}",
            hint="Check the disk and its log, then `weft resume`; what was recorded before is not touched.",
        )
        self.folder = folder


class DamagedArtifact(StoredDataError):
    """The bytes found are not the bytes that were stored."""

    code = "damaged-artifact"

    def __init__(self, digest: str, where: str, found: str) -> None:
        super().__init__(
            f"artifact {digest} is damaged: {where} holds {found}",
            hint="Resume: the task that made it runs again, and the damaged copy is set aside.",
        )
        self.digest = digest
        self.where = where


class MissingArtifact(StoredDataError):
    """No bytes are stored under this digest."""

    code = "missing-artifact"

    def __init__(self, digest: str, where: str) -> None:
        super().__init__(
            f"artifact {digest} is missing: {where} does not exist",
            hint="Resume: the task that made it runs again.",
        )
        self.digest = digest
        self.where = where


class UnreadableArtifact(StoredDataError):
    """The bytes are whole, but no value could be made of them."""

    code = "unreadable-artifact"

    def __init__(self, digest: str, codec: str, error: BaseException) -> None:
        super().__init__(
            f"artifact {digest} cannot be decoded by codec {codec!r}: {type(error).__name__}: {error}",
            hint="Was it made with other versions of the packages or of the project? `weft show` names its run.",
        )
        self.digest = digest
        self.codec = codec


class MissingClass(StoredDataError):
    """A stored value refers to a class or function that is no longer there."""

    code = "missing-class"

    def __init__(self, module: str, name: str, reason: str) -> None:
        super().__init__(
            f"a stored value needs {module}.{name}, which is gone: {reason}",
            hint=f"Bring {name} back under its old name, or resume with --from the task that made the value.",
        )
        self.module = module
        self.name = name


class UnknownCodec(StoredDataError):
    """The value was stored by a codec that this process does not have."""

    code = "unknown-codec"

    def __init__(self, codec: str) -> None:
        super().__init__(
            f"no codec is registered under {codec!r}",
            hint="Call register_codec(...) in a module that the workflow's file imports, so that workers have it too.",
        )
        self.codec = codec
