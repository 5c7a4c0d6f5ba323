"""GE-Lab (arXiv 2512.02423): a tree of phone-like pages; icons lead to pages, `back` and `home` lead up.

graph, layout, icons, render, world   what exists: pages, where icons stand, how a page looks, and the folder on disk
actions, prompts                      what is said: the answer grammar and the prompt builder
tasks, env, oracle, scoring           what happens: tasks, the environment, reference policies, scores
failures                              what goes wrong: the kind of each wrong answer
rows, build, write                    what is written: rows of every stage and the two command lines
"""
