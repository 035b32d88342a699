#!/bin/sh
# Counts how often each word stands in a text: count_words.sh TEXT RESULT
tr -cs '[:alpha:]' '\n' <"$1" | tr '[:upper:]' '[:lower:]' | grep . | sort | uniq -c | sort -rn -k1,1 -k2,2 >"$2"
echo "$(wc -l <"$2") different words in $1"
