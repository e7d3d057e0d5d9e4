"""Which encoding a text is in, if it is not UTF-8: a guess by the characters that each would give."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

_SAMPLE_BYTES = 200_000  # of the lines that are not ASCII
_HIGH = re.compile(rb"[\x80-\xff]+")
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_HALF = (
    0.3  # of the bytes at odd or even places are zero in UTF-16, also in Korean rows: commas, digits, ends
)


def foreign_encoding(data: bytes) -> str:
    """Return what encoding a text seems to be in, with the languages it is for; empty if it is UTF-8."""
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            return name
    if b"\0" in data:
        return _of_zeros(data)
    if _is_utf8(data):
        return ""
    return _of_high_bytes(_sample(data))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"  # only the head of a file
    return True


def _of_zeros(data: bytes) -> str:
    """Return UTF-16 or UTF-32 if the zero bytes are where these have them."""
    head = data[:4000]
    places = [head[place::4].count(0) * 4 / len(head) for place in range(4)]
    if min(sorted(places)[1:]) > 0.9:
        return "UTF-32 without a byte order mark"
    even, odd = (places[0] + places[2]) / 2, (places[1] + places[3]) / 2
    if max(even, odd) > _HALF and min(even, odd) < 0.05:
        return "UTF-16 without a byte order mark"
    return ""


def _sample(data: bytes) -> bytes:
    """Return lines that are not ASCII, up to a limit."""
    lines, size = [], 0
    for line in re.split(rb"[\r\n]+", data):
        if not line.isascii():
            lines.append(line)
            size += len(line)
            if size > _SAMPLE_BYTES:
                break
    return b"\n".join(lines)


def _share(text: str, is_expected: Callable[[str], bool]) -> float:
    found = [character for character in text if ord(character) > 127]
    return sum(map(is_expected, found)) / max(1, len(found))


def _between(*ranges: tuple[str, str]) -> Callable[[str], bool]:
    return lambda one: any(low <= one <= high for low, high in ranges)


def _in_codec(name: str, low: int, high: int) -> Callable[[str], bool]:
    """Return whether a character is a common one of a codec: in its two-byte table, by the first byte."""

    def is_common(one: str) -> bool:
        try:
            code = one.encode(name)
        except UnicodeEncodeError:
            return False
        return len(code) == 2 and low <= code[0] <= high

    return is_common


_KANA = _between(("ぁ", "ヿ"), ("、", "〟"))
_JAPANESE = _between(("ぁ", "ヿ"), ("、", "〟"), ("一", "鿿"), ("！", "～"))
_LATIN = _between(
    ("À", "ÿ"), ("‘", "”"), ("–", "—"), ("€", "€"), ("£", "£"), ("°", "°"), ("µ", "µ"), ("ª", "½")
)


def _of_high_bytes(sample: bytes) -> str:
    runs = _HIGH.findall(sample)
    if _is_mostly_utf8(sample):
        return "UTF-8, with bytes in it that are not"
    mean_run = sum(map(len, runs)) / max(1, len(runs))
    candidates = [
        ("CP949 (Korean: Excel's CSV, EUC-KR)", _score(sample, "cp949", _in_codec("euc_kr", 0xB0, 0xC8))),
        ("Shift-JIS (Japanese: CP932)", _japanese(sample, "cp932")),
        ("EUC-JP (Japanese)", _japanese(sample, "euc_jp")),
        ("GB18030 (Chinese: GBK, CP936)", _score(sample, "gb18030", _in_codec("gb2312", 0xB0, 0xD7))),
        ("Big5 (Chinese: CP950)", _score(sample, "big5", _in_codec("big5", 0xA4, 0xC6)) - 0.05),
        ("CP1251 (Cyrillic)", _score(sample, "cp1251", _between(("А", "я"), ("Ё", "Ё"), ("ё", "ё"))) - 0.1),
    ]
    if mean_run < 2:  # accents stand alone; in Shift-JIS and Big5 the second byte may be a letter
        candidates = [one for one in candidates if one[0].startswith(("Shift", "Big5"))]
        candidates.append(("CP1252 (Western European: Latin-1)", _score(sample, "cp1252", _LATIN)))
    name, score = max(candidates, key=lambda one: one[1])
    return name if score >= 0.7 else "Latin-1 or another one of one byte a character"


def _score(sample: bytes, codec: str, is_expected: Callable[[str], bool]) -> float:
    try:
        return _share(_decoded(sample, codec), is_expected)
    except UnicodeDecodeError:
        return 0.0


def _decoded(sample: bytes, codec: str) -> str:
    """Decode a sample, of which the last character may be cut off."""
    try:
        return sample.decode(codec)
    except UnicodeDecodeError as error:
        if len(sample) - error.start > 3:
            raise
        return sample[: error.start].decode(codec)


def _japanese(sample: bytes, codec: str) -> float:
    """Return how Japanese a text is: there is no Japanese without kana, except for short names."""
    try:
        text = _decoded(sample, codec)
    except UnicodeDecodeError:
        return 0.0
    kana = _share(text, _KANA)
    return _share(text, _JAPANESE) if kana > 0.2 else _share(text, _JAPANESE) * 0.75 + kana


def _is_mostly_utf8(sample: bytes) -> bool:
    """Return whether most of what is not ASCII is UTF-8, such as in a file made of two files."""
    text = sample.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = sum(1 for one in text if ord(one) > 127) - wrong
    return right > 2 * wrong


def mojibake(text: str) -> str:
    """Return what a text was before its UTF-8 (or CP949) was read in a Western encoding; empty if it is fine.

    ``ë‚ ì§œ`` was 날짜, ``Ã©`` was é. Characters that are lost (�) give the text itself.
    """
    if "\ufffd" in text:
        return text
    if text.isascii():
        return ""
    for codec in ("cp1252", "latin-1"):
        try:
            data = _western_bytes(text, codec)
        except UnicodeEncodeError:
            continue
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
        # Korean bytes give signs such as ³ and ¸, and not only letters as in Åå.
        if all(len(run) % 2 == 0 for run in _HIGH.findall(data)) and not text.replace(" ", "").isalpha():
            try:
                original = data.decode("euc_kr")
            except UnicodeDecodeError:
                continue
            if _share(original, _between(("가", "힣"))) == 1:
                return original
    return ""


def _western_bytes(text: str, codec: str) -> bytes:
    """Return the bytes that were read as CP1252; five have no character there, and stay."""
    if codec == "latin-1":
        return text.encode("latin-1")
    return b"".join(
        one.encode("latin-1") if "\x80" <= one <= "\x9f" else one.encode("cp1252") for one in text
    )
