"""Code that several packages share: files, text, arrays and messages. Private to tagger."""
