"""A saved model of a few kilobytes: its encoder is the mean of random word vectors."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from tagger.model import (
    Calibration,
    Head,
    LexicalFeatures,
    Linear,
    OutOfFold,
    Reference,
    save_heads,
)
from tagger.papers import EFFORTS, TEXT_VIEWS

WORDS = ("[UNK]", "heart", "court", "survey", "trial", "network", "question", "drug", "judge")
SIZE = 16


def save_tiny_model(folder, taxonomy, papers=12, seed=0):
    """Save a model with random heads that remembers a number of labelled papers."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    save_word_encoder(folder, rng)
    heads = random_heads(taxonomy, rng, SIZE)
    vectors = rng.normal(size=(papers, SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    reference = make_reference(vectors, taxonomy)
    lexical = LexicalFeatures(("court", "title:survey"), np.ones(2))
    calibrations = {view: {head.facet.name: Calibration() for head in heads} for view in TEXT_VIEWS}
    save_heads(
        folder,
        taxonomy,
        lexical,
        heads,
        reference,
        max_tokens=64,
        calibrations=calibrations,
        thresholds={effort: {facet.name: 0.5 for facet in taxonomy.facets} for effort in EFFORTS},
    )
    return folder


def random_heads(taxonomy, rng, size):
    """Make heads for vectors of a size and two words."""
    return [
        Head(
            facet,
            Linear(rng.normal(size=(len(facet.tags), size)) * 3, np.zeros(len(facet.tags))),
            Linear(rng.normal(size=(len(facet.tags), 2)), np.zeros(len(facet.tags))),
        )
        for facet in taxonomy.facets
    ]


def save_word_encoder(folder, rng):
    """Save a graph that takes the sum of random vectors of the few words that it knows."""
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    table = rng.normal(size=(len(WORDS), SIZE)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("ReduceSum", ["words", "tokens"], ["vector"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["texts", SIZE])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "tokens"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.save(model, str(folder / "encoder.onnx"))


def make_reference(vectors, taxonomy, *, audited=False):
    """Make up the reference of a model that knows nothing: all papers have the first tags."""
    papers = len(vectors)
    sizes = {facet.name: len(facet.tags) for facet in taxonomy.facets}
    even = {name: np.full((papers, size), 1 / size) for name, size in sizes.items()}
    low = OutOfFold(np.linspace(0.4, 0.8, papers), even)

    return Reference(
        tuple(f"paper {n}" for n in range(papers)),
        tuple(f"Title {n}" for n in range(papers)),
        vectors,
        {name: np.tile(np.arange(size) == 0, (papers, 1)) for name, size in sizes.items()},
        {name: np.ones(papers, dtype=bool) for name in sizes},
        {"low": low, "balanced": low, "full": OutOfFold(np.linspace(0.5, 0.9, papers), even)},
        frozenset(f"paper {n}" for n in range(papers) if audited),
    )
