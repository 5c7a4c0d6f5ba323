"""The synthetic login benchmark: login and registration forms, filled in step by step; decoys must be left alone.

forms, layout, style, fonts, render, marks   what exists: a form, where its parts stand, how it looks
actions, prompts                             what is said: the answer grammar and the prompt builder
tasks, env, oracle, scoring, metrics         what happens: episodes, the environment, reference policies, scores
failures                                     what goes wrong: the kind of each wrong answer
rows, write, verify                          what is written: rows, the command line, and the proof of a folder
"""
