"""`gridpilot completion`: a script for bash, zsh or fish, with every command, option and choice written out.

The scripts call nothing: a completion is as quick as the shell.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence

from gridpilot.command import Described, Option
from gridpilot.described import described
from gridpilot.table import COMMANDS

SHELLS = ("bash", "zsh", "fish")


def parser() -> argparse.ArgumentParser:
    """Return the options of `completion`."""
    made = argparse.ArgumentParser(prog="gridpilot completion", description="Print the completion for a shell.")
    made.add_argument("shell", choices=SHELLS, help="which shell")
    return made


def main(words: Sequence[str]) -> int:
    """Print a script."""
    print(script(parser().parse_args(words).shell), end="", flush=True)
    return 0


def script(shell: str) -> str:
    """Return the script for one of SHELLS."""
    places = dict(_places())
    if shell == "fish":
        return "\n".join(_fish(places)) + "\n"
    return (_BASH if shell == "bash" else _ZSH).replace("@CASES@", "\n".join(_cases(places)))


def _places() -> Iterator[tuple[str, Described]]:
    """Yield what may stand after which words: "" is the program itself, then `wms`, `wms submit`, ….

    The last of them are those without commands of their own.
    """
    tree = {name: described(row) for name, row in COMMANDS.items()}
    yield "", Described(usage="", does="", commands=tree)
    for name, told in tree.items():
        words = {word: Described(usage="", does="") for word in COMMANDS[name].words}
        below = dict(told.commands) or words
        yield name, Described(usage="", does=told.does, options=told.options, arguments=told.arguments, commands=below)
        for word, sub in told.commands.items():
            yield f"{name} {word}", sub


def _cases(places: Mapping[str, Described]) -> Iterator[str]:
    """Yield a branch of the shell's `case` for each place: its words, its options, and which of these take a file."""
    for place, told in places.items():
        words = [*told.commands, *(choice for each in told.arguments for choice in each.choices)]
        options = [name for option in told.options for name in option.names]
        files = [name for option in told.options if option.is_file for name in option.names]
        takes = [name for option in told.options if option.value and not option.is_file for name in option.names]
        takes_files = "yes" if any(each.is_file for each in told.arguments) or place == "run" else ""
        yield (
            f"    '{place}') words='{' '.join(dict.fromkeys(words))}'; options='{' '.join(options)}'; "
            f"files=' {' '.join(files)} '; values=' {' '.join(takes)} '; takes_files='{takes_files}' ;;"
        )


_BASH = """\
# bash completion for gridpilot; written by `gridpilot completion bash`
_gridpilot_at() {
  words='' options='' files='' values='' takes_files=''
  case "$1" in
@CASES@
  esac
}
_gridpilot() {
  local words options files values takes_files place='' word number current="${COMP_WORDS[COMP_CWORD]}"
  local previous="${COMP_WORDS[COMP_CWORD-1]}"
  for ((number = 1; number < COMP_CWORD; number++)); do
    word="${COMP_WORDS[number]}"
    _gridpilot_at "$place"
    case " $words " in *" $word "*) place="${place:+$place }$word" ;; esac
  done
  _gridpilot_at "$place"
  COMPREPLY=()
  case "$files" in
    *" $previous "*) COMPREPLY=($(compgen -f -- "$current")); compopt -o filenames 2>/dev/null; return ;;
  esac
  case "$values" in *" $previous "*) return ;; esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$options --help" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current"))
       if [ -n "$takes_files" ]; then
         COMPREPLY+=($(compgen -f -- "$current")); compopt -o filenames 2>/dev/null
       fi ;;
  esac
}
complete -F _gridpilot gridpilot
"""
_ZSH = """\
#compdef gridpilot
# zsh completion for gridpilot; written by `gridpilot completion zsh`
_gridpilot_at() {
  words_here='' options='' files='' values='' takes_files=''
  local words
  case "$1" in
@CASES@
  esac
  words_here=$words
}
_gridpilot() {
  local words_here options files values takes_files place='' word current="${words[CURRENT]}"
  local previous="${words[CURRENT-1]}"
  for word in "${(@)words[2,CURRENT-1]}"; do
    _gridpilot_at "$place"
    case " $words_here " in *" $word "*) place="${place:+$place }$word" ;; esac
  done
  _gridpilot_at "$place"
  case "$files" in *" $previous "*) _files; return ;; esac
  case "$values" in *" $previous "*) return ;; esac
  case "$current" in
    -*) compadd -- ${=options} --help ;;
    *) compadd -- ${=words_here}; [[ -n "$takes_files" ]] && _files ;;
  esac
}
if [[ "$funcstack[1]" == _gridpilot ]]; then _gridpilot "$@"; else compdef _gridpilot gridpilot; fi
"""


def _fish(places: Mapping[str, Described]) -> Iterator[str]:
    yield "# fish completion for gridpilot; written by `gridpilot completion fish`"
    yield "complete -c gridpilot -f"
    yield "complete -c gridpilot -l help -d 'options, examples, exit codes'"
    for place, told in places.items():
        here = _fish_condition(place, told)
        for name, sub in told.commands.items():
            yield f"complete -c gridpilot -n '{here}' -a {name}{_fish_text(sub.does)}"
        for argument in told.arguments:
            for choice in () if told.commands else argument.choices:
                yield f"complete -c gridpilot -n '{here}' -a {choice}"
            if argument.is_file:
                yield f"complete -c gridpilot -n '{here}' -F"
        below = _fish_condition(place)
        yield from (f"complete -c gridpilot -n '{below}'{_fish_option(each)}" for each in told.options)


def _fish_condition(place: str, told: Described | None = None) -> str:
    if not place:
        return "__fish_use_subcommand"
    seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in place.split())
    if told is not None and told.commands:
        return f"{seen}; and not __fish_seen_subcommand_from {' '.join(told.commands)}"
    return seen


def _fish_option(option: Option) -> str:
    short = "".join(f" -s {name[1:]}" for name in option.names if not name.startswith("--"))
    long = "".join(f" -l {name[2:]}" for name in option.names if name.startswith("--"))
    value = (" -r -F" if option.is_file else " -x") if option.value else ""
    choices = f" -a '{' '.join(option.choices)}'" if option.choices else ""
    return f"{short}{long}{value}{choices}{_fish_text(option.meaning)}"


def _fish_text(text: str) -> str:
    return " -d '" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" if text else ""
