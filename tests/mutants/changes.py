"""What is changed in a module, one small thing at a time: a comparison, a number, a word, a statement."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Change = Callable[[], None]  # changes a node where it stands

_OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_OTHER_NAME = {"min": "max", "max": "min", "any": "all", "all": "any"}
_IN_ANY_ORDER = ("min", "max")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one change.

    Args:
        path: of the module, from the root of the checkout.
        line: of the change, in the module as it is.
        place: the class and function it is in.
        what: the text before and after; with path and place it names the mutant, also when lines have moved.
        node: which node of the module.
        change: which of the changes of that node.
    """

    path: str
    line: int
    place: str
    what: str
    node: int
    change: int

    @property
    def name(self) -> str:
        """Name it as the table of equivalent mutants does."""
        return f"{self.path} {self.place}: {self.what}"

    def tree(self, source: str) -> ast.Module:
        """Return the module with the change."""
        tree = ast.parse(source)
        _changes(list(_nodes(tree, ""))[self.node][0])[self.change]()
        return ast.fix_missing_locations(tree)


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """Yield all mutants of a module, each of another name: what is found twice in a function is numbered."""
    seen: dict[str, int] = {}
    for number, (node, place) in enumerate(_nodes(ast.parse(source), "")):
        for index in range(len(_changes(node))):
            what = _told(node, index)
            nth = seen[place + what] = seen.get(place + what, 0) + 1
            yield Mutant(path, node.lineno, place, what if nth == 1 else f"{what} #{nth}", number, index)  # type: ignore[attr-defined]


def _told(node: ast.AST, index: int) -> str:
    changed = copy.deepcopy(node)
    _changes(changed)[index]()
    return f"{_text(node)} -> {_text(changed)}"


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 120 else f"{text[:80]} ... {text[-35:]}"


def _nodes(node: ast.AST, place: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield what may be changed, and where it is; nothing of annotations, imports, events, errors' words."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        place = f"{place}.{node.name}".lstrip(".")
    yield node, place
    for child in _children(node):
        yield from _nodes(child, place)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Raise() | ast.arguments():
            return
        case ast.Expr(value=ast.Constant()) | ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log")))):
            return
        case ast.AnnAssign(value=value):
            yield from [value] if value else []
        case ast.FunctionDef(body=body) | ast.ClassDef(body=body):
            yield from body
        case ast.Call(func=func, args=args, keywords=keywords):
            yield from (func, *args, *(keyword for keyword in keywords if keyword.arg not in ("doc", "advice")))
        case _:
            yield from ast.iter_child_nodes(node)


def _changes(node: ast.AST) -> list[Change]:
    match node:
        case ast.Compare(ops=[op, *_]) if type(op) in _OTHER:
            return [_set(node, "ops", [_OTHER[type(op)](), *node.ops[1:]])]
        case ast.BoolOp(op=op) | ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _OTHER:
            return [_set(node, "op", _OTHER[type(op)]())]
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            return [_set(node, "test", ast.UnaryOp(ast.Not(), test))]
        case ast.Name(id=name) if name in _OTHER_NAME:
            return [_set(node, "id", _OTHER_NAME[name])]
        case ast.Constant(value=value):
            return _changed_value(node, value)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant) or value.value is not None:
            return [_set(node, "value", ast.Constant(None))]
        case ast.Call(args=[first, second, *rest], func=func) if ast.unparse(func) not in _IN_ANY_ORDER:
            return [_set(node, "args", [second, first, *rest])]
        case ast.Expr(value=ast.Call() | ast.YieldFrom() | ast.Yield() as value) if not _is_event(value):
            return [_set(node, "value", ast.Constant(None))]
        case ast.Raise() | ast.Continue() | ast.Break():
            return [_set(node, "__class__", ast.Pass)]
    return []


def _is_event(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func).startswith("log.")


def _changed_value(node: ast.Constant, value: object) -> list[Change]:
    """A sentence for people is left as it is: it has blanks and does not begin like an option."""
    if isinstance(value, bool):
        return [_set(node, "value", not value)]
    if isinstance(value, int | float):
        return [_set(node, "value", value + 1)]
    if isinstance(value, str) and any(map(str.isalnum, value)) and (" " not in value.strip() or value.startswith("-")):
        return [_set(node, "value", f"{value}X")]
    return []


def _set(node: ast.AST, field: str, value: object) -> Change:
    return lambda: setattr(node, field, value)
