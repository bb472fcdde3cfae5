"""Pictures of handwritten digits with known truth: real digits, redrawn with other pens, on papers and in lights.

strokes    a digit's tile → the middle line of its strokes, with the flags, bars and loops that people add
pens       a line → ink: from a hairline to a marker, pencil, chalk
papers     what is written on: colours, texture, rules, squares; the light on it
curves     strokes as points → a line
letters    letters as hands write them
doodles    scribbles, marks, shapes, plants, fences
clutter    what is no digit: any of these, letters and signs of fonts, blots, patches of texture
camera     how it is caught: turned, blurred, small, noisy, compressed
layouts    which digits stand where: one, a number, several lines, a pair that touches
pictures   all of it together, from a seed; a folder of pictures with labels.csv
"""
