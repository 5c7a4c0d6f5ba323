"""Parts of tools/make_tiny_model.py.

vocabulary   byte-level tokenizer of Qwen's kind, trained on text made here, with the family's special tokens
real         the families' own tokenizer, chat template and limits of a picture
shapes       configs of each family and size, and the initial weights
"""
