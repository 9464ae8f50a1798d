"""The extension of a segment at a point, as factors over its rows and over the places of a row.

Specified in docs/spec/zk.md, section 8.
"""

from collections.abc import Sequence

import numpy as np

from paraph.adapters.provers.elements import array, arrays
from paraph.adapters.provers.kernels import Words, equals
from paraph.proofs.zk.field import ONE, Ext
from paraph.proofs.zk.plan import Segment


def ranked(segment: Segment, point: Sequence[Ext], line: int, factor: Ext) -> tuple[int, Words, Words]:
    """A segment's first row, the factors of its rows, and those of places in a row.

    Args:
        segment: of a vector.
        point: of the segment.
        line: places of a row.
        factor: which the factors of places bear.
    """
    inner = line.bit_length() - 1
    first = segment.offset // line
    if segment.bits >= inner:
        lead = segment.bits - inner
        return first, equals(arrays(point[:lead]), array(ONE)), equals(arrays(point[lead:]), array(factor))
    along = np.zeros((4, line), np.uint32)
    at = segment.offset % line
    along[:, at : at + (1 << segment.bits)] = equals(arrays(point), array(factor))
    return first, array(ONE).reshape(4, 1), along
