"""Tasks on text: readers, tokenizers, encoding."""
