import sys

if sys.version_info < (3, 9):  # plain enough for the oldest Python to say it
    sys.stderr.write("pilot: this is Python %d.%d; expected 3.9 or later\n" % sys.version_info[:2])
    sys.exit(6)
