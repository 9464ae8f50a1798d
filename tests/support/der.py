"""DER, written: a value of any tag and parts, for tests of what reads it."""


def node(tag: int, *parts: bytes) -> bytes:
    """A value of those parts, its length in the shortest form."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    width = (size.bit_length() + 7) // 8
    return bytes((tag, 0x80 | width)) + size.to_bytes(width, "big") + content
