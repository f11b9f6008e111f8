"""A sentence-transformers model of a few kilobytes that knows a few words and is not trained."""

from helpers.tiny_model import SIZE, WORDS


def save_tiny_encoder(folder):
    """Save a transformer of one layer with random weights, always the same ones."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({word: n for n, word in enumerate(("[PAD]", *WORDS))}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )
    config = BertConfig(
        vocab_size=len(WORDS) + 1,
        hidden_size=SIZE,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=SIZE,
        max_position_embeddings=64,
        # Far enough apart that words differ.
        initializer_range=1.0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = BertModel(config)
    transformer.save_pretrained(folder / "transformer")
    tokenizer.save_pretrained(folder / "transformer")
    parts = [Transformer(str(folder / "transformer")), Pooling(SIZE)]
    SentenceTransformer(modules=parts).save(str(folder / "encoder"))
    return folder / "encoder"
