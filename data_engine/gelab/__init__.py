"""GE-Lab (arXiv 2512.02423): a tree of phone-like pages; icons lead to pages, `back` and `home` lead up."""
