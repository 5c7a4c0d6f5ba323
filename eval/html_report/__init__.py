"""The parts of eval/report.py. What is in a run, as plain values; and how it looks.

scan       which scores, training logs, worlds and rows lie in a run directory, and what is missing
curves     training logs as lines
diagnosis  what both benchmarks share: counts of failures, actions and clicks, and which walks are shown
gelab      walks and answers in GE-Lab, each with the kind of its failure
login      the same on forms
lead       the first sentences, made of the numbers
gather     all of it as one JSON value

and how it looks:

pictures   screenshots, each embedded once, small
charts     lines and dots as SVG
page       the template filled in; template.html holds style and viewer
to_wandb   the same numbers and the page, to Weights & Biases
"""
