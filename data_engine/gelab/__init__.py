"""GE-Lab (arXiv 2512.02423): a tree of phone-like pages; icons lead to pages, `back` and `home` lead up.

page, graph, layout, icons, world     what exists: pages, where icons stand, the pictures, and the folder on disk
style, render, ring                   how a page looks, and where pages stand in a picture of the tree
actions, prompts                      what is said: the answer grammar and the prompt builder
tasks, env, oracle, scoring           what happens: tasks, the environment, reference policies, scores
failures                              what goes wrong: the kind of each wrong answer
rows, build, vary, write              what is written: rows of every stage and the command lines
"""
