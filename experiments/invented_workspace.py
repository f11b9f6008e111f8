"""A small workspace of invented papers, and an encoder that knows a few words of them."""

from __future__ import annotations

import json
from pathlib import Path

KIND = ("survey", "method", "study")
FIELD = ("health", "law")
TOPICS = ("heart", "court", "survey", "trial", "network", "question", "drug", "judge")
DIMENSIONS = 384
"""Those of the bundled encoder, which the small one stands in for."""


def write_workspace(folder: Path) -> None:
    """Write labels and pages of invented papers."""
    (folder / "labels").mkdir(parents=True)
    taxonomy = {
        "name": "kills",
        "facets": [
            {
                "name": "kind",
                "definition": "What the paper is.",
                "exclusive": True,
                "tags": [{"name": name, "definition": f"It is a {name}."} for name in KIND],
            },
            {
                "name": "field",
                "definition": "What it is about.",
                "tags": [{"name": name, "definition": f"It is on {name}."} for name in FIELD],
            },
        ],
    }
    import yaml

    text = yaml.safe_dump(taxonomy, sort_keys=False)
    (folder / "labels" / "taxonomy.yaml").write_text(text, encoding="utf-8")
    labels = [
        {
            "title": f"Seed {n} on the {TOPICS[n % 8]}",
            "text": f"We ask what {TOPICS[n % 8]} and {TOPICS[n * 3 % 8]} have in common.",
            "tags": {"kind": [KIND[n % 3]], "field": [[], ["health"], ["law"]][n // 3 % 3]},
            "annotator": "ann",
            "time": "2026-01-01T00:00:00Z",
            "source": "seed",
        }
        for n in range(24)
    ]
    lines = "".join(json.dumps(label) + "\n" for label in labels)
    (folder / "labels" / "seed.jsonl").write_text(lines, encoding="utf-8")
    (folder / "monday.txt").write_text(page("Monday", 90), encoding="utf-8")
    (folder / "tuesday.txt").write_text(page("Tuesday", 90), encoding="utf-8")
    entries = [
        f"@article{{k{n},\n  title = {{Entry {n} on the {TOPICS[n % 8]}}},\n"
        f"  abstract = {{It is about {TOPICS[n * 5 % 8]}.}}\n}}\n"
        for n in range(8)
    ]
    (folder / "library.bib").write_text("\n".join(entries), encoding="utf-8")


def page(name: str, papers: int) -> str:
    """Write a digest page."""
    entries = [
        f"{name} paper {n} on the {TOPICS[n % 8]}\n\nWe look at {TOPICS[n % 8]} and at "
        f"{TOPICS[n * 3 % 8]} in case {n}, at some length, and find more to say of it. "
        "What we saw is told in full, with all that went wrong on the way and what came of it."
        for n in range(papers)
    ]
    return "new\n\nSubscribe\n\nMar 12\n\n" + "\n\n".join(entries)


def save_encoder(folder: Path) -> Path:
    """Save a sentence-transformers model of one layer with random weights."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = ("[PAD]", "[UNK]", *TOPICS, "Monday", "Tuesday", "Seed", "Entry")
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(names)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=DIMENSIONS,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=1.0,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder / "transformer")
    tokenizer.save_pretrained(folder / "transformer")
    parts = [Transformer(str(folder / "transformer")), Pooling(DIMENSIONS)]
    SentenceTransformer(modules=parts).save(str(folder / "encoder"))
    return folder / "encoder"
