"""The commitment to a model's weights, from their file.

Specified in docs/spec/zk.md, sections 5 and 6.
"""

from collections.abc import Sequence

from paraph.core.ident import Digest
from paraph.proofs.zk.columns import codeword, leaf, root
from paraph.proofs.zk.field import ELEMENT_BYTES, P
from paraph.proofs.zk.graph import Conv, Graph, split_weights
from paraph.proofs.zk.plan import RATE_BITS, dense_inputs, line_of, weight_segments


def weight_vector(graph: Graph, data: bytes) -> list[int]:
    """The weight vector, as far as it reaches, padded to whole rows.

    Args:
        graph: the model's.
        data: the file of weights.

    Raises:
        Malformed: `graph.weights`: the file's length.
    """
    segments, reach = weight_segments(graph)
    line = line_of(graph)
    vector = [0] * (-(-max(reach, 1) // line) * line)
    for number, ((weights, biases), (matrix, bias)) in enumerate(
        zip(split_weights(graph, data), segments, strict=True)
    ):
        block = graph.blocks[number]
        for output in range(block.outputs):
            row = weights[output * block.inputs : (output + 1) * block.inputs]
            start = matrix.offset + output * (1 << matrix.bits - bias.bits) + _shift(graph, number, output)
            vector[start : start + len(row)] = [(each - 256 if each > 127 else each) % P for each in row]
            each = int.from_bytes(biases[4 * output : 4 * output + 4], "little", signed=True)
            vector[bias.offset + output] = each % P
    return vector


def weight_root(graph: Graph, data: bytes) -> Digest:
    """The weight root. Raises `Malformed` (`graph.weights`)."""
    vector, line = weight_vector(graph, data), line_of(graph)
    bits = (line << RATE_BITS).bit_length() - 1
    rows = [codeword(vector[at : at + line], (), bits) for at in range(0, len(vector), line)]
    leaves = {index: leaf(b"", column_bytes(column)) for index, column in enumerate(zip(*rows, strict=True))}
    return root(leaves, bits, lambda: b"")


def column_bytes(column: Sequence[int]) -> bytes:
    """A column's entries as bytes."""
    return b"".join(each.to_bytes(ELEMENT_BYTES, "little") for each in column)


def _shift(graph: Graph, number: int, output: int) -> int:
    """Where a grouped convolution's inputs begin among those of the dense one."""
    block = graph.blocks[number]
    node = graph.nodes[block.node]
    if not isinstance(node, Conv):
        return 0
    return output // (block.outputs // node.groups) * (dense_inputs(graph, number) // node.groups)
