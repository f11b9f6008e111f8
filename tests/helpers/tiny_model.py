"""A saved model of a few kilobytes: its encoder is the mean of random word vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from tagger.heads import Calibration, Head, Linear
from tagger.lexical import LexicalFeatures
from tagger.model import save_heads
from tagger.reference import OutOfFold, Reference
from tagger.taxonomy import Taxonomy
from tagger.text_views import TEXT_VIEWS

WORDS = ("[UNK]", "heart", "court", "survey", "trial", "network", "question", "drug", "judge")
SIZE = 16


def save_tiny_model(folder: Path, taxonomy: Taxonomy, papers: int = 12, seed: int = 0) -> Path:
    """Save a model with random heads that remembers a number of labelled papers."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    save_word_encoder(folder, rng)
    heads = [
        Head(
            facet,
            Linear(rng.normal(size=(len(facet.tags), SIZE)) * 3, np.zeros(len(facet.tags))),
            Linear(rng.normal(size=(len(facet.tags), 2)), np.zeros(len(facet.tags))),
        )
        for facet in taxonomy.facets
    ]
    vectors = rng.normal(size=(papers, SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    reference = make_reference(vectors, taxonomy)
    lexical = LexicalFeatures(("court", "title:survey"), np.ones(2))
    calibrations = {view: {head.facet.name: Calibration() for head in heads} for view in TEXT_VIEWS}
    save_heads(folder, taxonomy, lexical, heads, reference, 64, calibrations)
    return folder


def save_word_encoder(folder: Path, rng: np.random.Generator) -> None:
    """Save what takes the mean of random vectors of the few words that it knows."""
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    save_encoder(folder / "encoder.onnx", rng.normal(size=(len(WORDS), SIZE)).astype(np.float32))


def make_reference(vectors: np.ndarray, taxonomy: Taxonomy) -> Reference:
    """Make up the reference of a model that knows nothing: all papers have the first tags."""
    papers = len(vectors)
    first = {f.name: np.arange(len(f.tags)) == 0 for f in taxonomy.facets}

    def out_of_fold(low: float, high: float) -> OutOfFold:
        even = {f.name: np.full((papers, len(f.tags)), 1 / len(f.tags)) for f in taxonomy.facets}
        return OutOfFold(np.linspace(low, high, papers), even)

    return Reference(
        tuple(f"paper {n}" for n in range(papers)),
        tuple(f"Title {n}" for n in range(papers)),
        vectors,
        {name: np.tile(row, (papers, 1)) for name, row in first.items()},
        {name: np.ones(papers, dtype=bool) for name in first},
        {
            "low": out_of_fold(0.4, 0.8),
            "balanced": out_of_fold(0.4, 0.8),
            "full": out_of_fold(0.5, 0.9),
        },
    )


def save_encoder(path: Path, table: np.ndarray) -> None:
    """Write a graph that takes the sum of the vectors of the words."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("ReduceSum", ["words", "tokens"], ["vector"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["texts", table.shape[1]])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "tokens"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), str(path))
