"""What a run may be started with at most: too much is refused before the run is accepted, with the limit named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from weft.errors import UserError
from weft.executors.admission import bytes_text
from weft.model.jobs import Output

TAGS_MAX: Final = 64
TAG_LENGTH_MAX: Final = 256


class ParametersTooLarge(UserError):
    """The parameters of a run take more space than a run may take."""

    code = "parameters-too-large"

    def __init__(self, given: Sequence[Output], size_bytes: int, most: int) -> None:
        largest = max(given, key=lambda output: output.artifact.size_bytes)
        names, size = ", ".join(largest.names), bytes_text(largest.artifact.size_bytes, exact=True)
        super().__init__(
            f"the parameters take {bytes_text(size_bytes, exact=True)} and may take {bytes_text(most)} in all; "
            f"the largest is {names} ({size})",
            hint="Read large data in a step, or raise `parameters_max` in [tool.weft].",
        )


class TooManyTags(UserError):
    """A run has more tags than it may have."""

    code = "too-many-tags"

    def __init__(self, count: int) -> None:
        super().__init__(
            f"the run has {count:,} tags and may have {TAGS_MAX}",
            hint="Keep tags for what runs are looked up by; give the rest as a parameter.",
        )


class TagTooLong(UserError):
    """The name or the value of a tag is longer than it may be."""

    code = "tag-too-long"

    def __init__(self, name: str, length: int) -> None:
        super().__init__(
            f"tag {name[:40]!r} has {length:,} characters in its name or value and may have {TAG_LENGTH_MAX}",
            hint="Shorten it, or give the text as a parameter.",
        )


def check_parameters(given: Sequence[Output], most: int) -> None:
    """Refuse parameters that take more than ``most`` bytes, stored.

    Raises:
        ParametersTooLarge: names the largest.
    """
    size_bytes = sum(output.artifact.size_bytes for output in given)
    if size_bytes > most:
        raise ParametersTooLarge(given, size_bytes, most)


def checked_tags(tags: Mapping[object, object]) -> dict[str, str]:
    """Return the tags as text.

    Raises:
        TooManyTags, TagTooLong: see each.
    """
    if len(tags) > TAGS_MAX:
        raise TooManyTags(len(tags))
    texts = {str(name): str(value) for name, value in tags.items()}
    for name, value in texts.items():
        length = max(len(name), len(value))
        if length > TAG_LENGTH_MAX:
            raise TagTooLong(name, length)
    return texts
