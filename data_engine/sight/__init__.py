"""Teaching a small model to see: rows about single screens, from a spot of colour to words, marks and forms.

shapes      plain coloured forms, beside the built-in icons
words       what is written on screens: everyday words, strings, numbers
screens     one random screen: its picture and the things on it
form_screens  the same for the canvas of forms
questions   what is asked of a screen, in the benchmarks' own prompts and grammar
curriculum  the stages, easy first
probe       sets of questions that no stage has asked, and their score
write       python -m data_engine.sight.write OUT --stage STAGE
"""
