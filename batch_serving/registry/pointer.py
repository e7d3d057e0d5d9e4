"""``champion.json``: which version of a model is in use, and which one was before."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.files import read_with_tag, seal, unseal
from batch_serving.shared.paths import relative_to_project, safe_name

if TYPE_CHECKING:
    from upath import UPath

REPAIR = "trigger promote_model with a version to repair it"


@dataclass(frozen=True)
class Pointer:
    """The champion, the one before it, and the promotion that made it the champion.

    ``lost``: the file is missing or corrupt, and this is what the history says.
    """

    version: str
    previous: str | None
    promoted_at: str | None = None
    run_id: str | None = None
    reason: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    verdict: str = "promoted"  # or rolled back: for the history, if the task was killed before it wrote that
    lost: bool = False

    @property
    def versions(self) -> list[str]:
        """The champion and, if there is one, the version before it."""
        return [self.version] if self.previous is None else [self.version, self.previous]

    @property
    def history_key(self) -> tuple[str, str | None, str]:
        """What distinguishes its entry in the history."""
        return "promoted", self.run_id, self.version

    def to_json(self) -> dict[str, Any]:
        """Return what the file has."""
        return {name: value for name, value in asdict(self).items() if name != "lost"}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Pointer:
        """Return the pointer that a file's record describes; ValueError or KeyError if it describes none."""
        version, previous = record["version"], record["previous"] or None
        for name in (version, previous):
            if name is not None and (not isinstance(name, str) or safe_name(name) != name):
                raise ValueError("it does not name a version")
        if version is None:
            raise ValueError("it does not name a version")
        return cls(
            version,
            previous,
            promoted_at=record.get("promoted_at"),
            run_id=record.get("run_id"),
            reason=record.get("reason"),
            metrics=record.get("metrics") or {},
            verdict=record.get("verdict") or "promoted",
        )


class CorruptPointerError(ModelStoreError):
    """``champion.json`` exists and cannot be read; ``tag`` is for replacing it."""

    def __init__(self, text: str, tag: str) -> None:
        """Keep the tag."""
        super().__init__(text)
        self.tag = tag


def read_pointer(path: UPath) -> tuple[Pointer | None, str]:
    """Return the pointer, None before the first promotion, and a tag that changes when it moves."""
    data, tag = read_with_tag(path)
    if data is None:
        return None, tag
    try:
        return Pointer.from_json(unseal(data)), tag
    except (ValueError, KeyError, RecursionError) as error:
        place = relative_to_project(path)
        raise CorruptPointerError(f"{place} is corrupt ({error}); {REPAIR}", tag) from None


def pointer_bytes(pointer: Pointer) -> bytes:
    """Return the content of the file."""
    return seal(pointer.to_json())
