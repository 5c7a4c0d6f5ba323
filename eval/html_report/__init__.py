"""The parts of eval/report.py. What is in a run, as plain values; and how it looks.

score      one score, and what cannot be shown
scan       which scores and training logs lie in a run directory
library    which worlds and rows
curves     training logs as lines
diagnosis  what both benchmarks share: counts of failures, actions and clicks, and which walks are shown
reporters  what is shown of each benchmark:
gelab      its numbers, walks and answers in GE-Lab, each with the kind of its failure
login      the same on forms
lead       the first sentences, made of the numbers
gather     all of it as one JSON value

and how it looks:

pictures   screenshots, each embedded once, small
charts     lines and dots as SVG
page       the template filled in; template.html holds style and viewer
to_wandb   the same numbers and the page, to Weights & Biases
"""
