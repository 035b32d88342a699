"""What patterns name in the work directory of a task on another machine: shell functions, in POSIX sh and GNU tools.

It searches as `output_search` does here: within bounds, and without going into links where a pattern has a wildcard.
"""

MOST_FILES = 10_000
MOST_BYTES = 20 * 10**9  # as the files say themselves how large they are
_SEARCH_S = 60  # for each of the three looks at a pattern

# inside DIRECTORY NAME: whatever links are on its way, it lies in there, or is that; of a real directory, absolute.
INSIDE = 'inside() { case $(readlink -f -- "$2")/ in "$1"/*) ;; *) return 1 ;; esac; }'

# outputs SCRATCH < PATTERNS: print the names, each with `work/` before it and a NUL behind it; run beside `work`.
# A pattern is taken apart where its first wildcard stands. `find` goes down to exactly the level of its last part: so
# there are as many slashes in the name as in the pattern, and no wildcard matches one. As in a shell, a wildcard finds
# hidden files only where the pattern has a part that begins with a dot.
OUTPUTS = f"""\
{INSIDE}
skip() {{ printf 'output %s was skipped: %s\\n' "$pattern" "$1" >&2; }}
named() {{
    case $rest in
        *[*?[]*) ;;
        *) if [ -e "$base/$rest" ] || [ -h "$base/$rest" ]; then printf '%s\\0' "$base/$rest"; fi; return ;;
    esac
    set -- ! -path '*/.*'
    case /$rest in */.*) set -- ;; esac
    set -- -mindepth "$levels" -maxdepth "$levels" -path "$base/$rest" "$@" -print0
    timeout {_SEARCH_S} find -H "$base/" "$@" 2> /dev/null
    [ $? -ne 124 ] || skip 'looking for it took longer than {_SEARCH_S} s'
}}
amount() {{ timeout {_SEARCH_S} du -lcs --files0-from="$found" "$@" 2> /dev/null | tail -n 1 | cut -f 1; }}
outputs() {{
    found=$1/found files={MOST_FILES} bytes={MOST_BYTES}
    [ ! -h work ] && here=$(cd work && pwd -P) || return 0
    while IFS= read -r pattern; do
        case /$pattern/ in */../*) skip 'it leads outside'; continue ;; esac
        rest=$pattern base=work levels=1
        while :; do
            case ${{rest%%/*}} in *[*?[]*) break ;; esac
            case $rest in */*) base=$base/${{rest%%/*}} rest=${{rest#*/}} ;; *) break ;; esac
        done
        [ -d "$base" ] || continue
        inside "$here" "$base" || {{ skip 'it leads outside the work directory'; continue; }}
        more=$rest
        while case $more in */*) true ;; *) false ;; esac; do more=${{more#*/}} levels=$((levels + 1)); done
        named | head -z -n $((files + 1)) > "$found"
        [ -s "$found" ] || continue
        taken=$(amount --inodes) size=$(amount --apparent-size -B1)
        if [ -z "$taken" ] || [ "$taken" -gt "$files" ]; then
            skip 'there are more than {MOST_FILES} files'
            continue
        fi
        if [ -z "$size" ] || [ "$size" -gt "$bytes" ]; then
            skip 'all outputs together have more than {MOST_BYTES // 10**6} MB'
            continue
        fi
        files=$((files - taken)) bytes=$((bytes - size))
        cat "$found"
    done
}}
"""
