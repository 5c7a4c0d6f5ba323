"""Parts of tools/make_tiny_model.py.

vocabulary   byte-level tokenizer of Qwen's kind, trained on text made here, with the family's special tokens
shapes       configs of each family and size, and the initial weights
"""
