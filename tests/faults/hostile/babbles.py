"""Write megabytes without a line end, of everything that is hard to show: `babbles.py MEGABYTES`."""

import random
import sys

out = sys.stdout.buffer
noise = random.Random(1).randbytes(10**6 - 24).replace(b"\n", b"\0") + b"\x1b[2J\x1b]0;title\x07\xff\xfe\x00"
out.write(b"first words")
for _ in range(int(sys.argv[1])):
    out.write(noise)
out.write(b"\nlast words\n")
