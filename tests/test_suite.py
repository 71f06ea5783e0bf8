"""Rules for the tests themselves: none sleeps, and none can pass because a loop was empty."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = [str(path.relative_to(HERE)) for path in sorted(HERE.rglob("*.py"))]
PAUSES = {"sleep", "wait_for_timeout"}  # of time, asyncio and a browser's page
WRAPPERS = {"enumerate", "list", "product", "reversed", "set", "sorted", "tuple", "zip"}

every_module = pytest.mark.parametrize("module", MODULES)


@every_module
def test_no_test_sleeps(module: str) -> None:
    tree = ast.parse((HERE / module).read_text("utf-8"))

    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert named.isdisjoint(PAUSES), f"{module} pauses for a fixed time; wait for a condition"


@every_module
def test_no_test_has_all_its_asserts_in_a_loop_that_may_be_empty(module: str) -> None:
    assert may_check_nothing((HERE / module).read_text("utf-8")) == [], (
        "assert first that there is something to loop over"
    )


@pytest.mark.parametrize(
    "body",
    [
        "for path in root.glob('*'):\n  assert path",
        "assert all(path for path in root.glob('*'))",
        "for one in found:\n  with pytest.raises(ValueError, match='x'):\n   check(one)",
        "for a in (1, 2):\n  for b in found(a):\n   assert b",
        "for i in range(len(found)):\n  np.testing.assert_allclose(i, 0)",
    ],
)
def test_a_loop_that_may_be_empty_is_found(body: str) -> None:
    assert may_check_nothing(as_test(body)) == ["test_it"]


@pytest.mark.parametrize(
    "body",
    [
        "assert found\n for one in found:\n  assert one",
        "for one in (1, 2):\n  assert one",
        "for one in range(3):\n  assert one",
        "for one in range(1, 3):\n  assert one",
        "for i, one in enumerate(SPLITS):\n  assert one",
        "for a, b in zip(data.SPLITS, found, strict=True):\n  assert b",
        "wanted = {'a': 1}\n for one in wanted.items():\n  assert one",
        "assert [one for one in found if one] == []",
    ],
)
def test_a_loop_that_cannot_be_empty_or_has_an_assert_beside_it_is_none(body: str) -> None:
    assert may_check_nothing(as_test(body)) == []


def as_test(body: str) -> str:
    return f"def test_it():\n {body}\n"


def may_check_nothing(source: str) -> list[str]:
    """The tests that would pass if what they loop over were empty."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    helpers = {f.name for f in functions if any(isinstance(n, ast.Assert) for n in ast.walk(f))}
    found = []
    for function in functions:
        if function.name.startswith("test"):
            checks = list(checks_of(function.body, helpers, Full.of(function), certain=True))
            if checks and not any(checks):
                found.append(function.name)
    return found


def checks_of(
    body: list[ast.stmt], helpers: set[str], full: "Full", *, certain: bool
) -> Iterator[bool]:
    """For each assertion, whether it is certain to be reached."""
    for node in body:
        if isinstance(node, ast.Assert):
            yield certain and not (
                is_call(node.test, {"all"}) and not full.holds(generated_from(node.test))
            )
        elif isinstance(node, ast.For):
            yield from checks_of(
                node.body, helpers, full, certain=certain and full.holds(node.iter)
            )
        elif isinstance(node, ast.With):
            if any("raises" in ast.unparse(item.context_expr) for item in node.items):
                yield certain
            yield from checks_of(node.body, helpers, full, certain=certain)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func).rpartition(".")[2]
            if called in helpers or called.startswith("assert"):
                yield certain


class Full:
    """What can be seen to hold something: literals, constants, and what is made of them."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    @classmethod
    def of(cls, function: ast.FunctionDef) -> "Full":
        """With the local names to which a literal is assigned."""
        full = cls(set())
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and full.holds(node.value):
                full.names |= {name.id for name in node.targets if isinstance(name, ast.Name)}
        return full

    def holds(self, node: ast.expr | None) -> bool:
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return any(not isinstance(element, ast.Starred) for element in node.elts)
        if isinstance(node, ast.Dict):
            return bool(node.keys)
        if isinstance(node, ast.Name):
            return node.id.isupper() or node.id in self.names
        if isinstance(node, ast.Attribute):
            return node.attr.isupper()
        return isinstance(node, ast.Call) and self._call_holds(node)

    def _call_holds(self, call: ast.Call) -> bool:
        if is_call(call, {"range"}):
            return all(isinstance(number, ast.Constant) for number in call.args) and bool(
                range(*(ast.literal_eval(number) for number in call.args))
            )
        if is_call(call, WRAPPERS):
            strict = any(keyword.arg == "strict" for keyword in call.keywords)
            return (any if strict else all)(self.holds(argument) for argument in call.args)
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"items", "keys", "values"}:
            return self.holds(call.func.value)
        return False


def is_call(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def generated_from(call: ast.Call) -> ast.expr | None:
    """What the generator in `all(…)` goes over."""
    (argument,) = call.args
    return argument.generators[0].iter if isinstance(argument, ast.GeneratorExp) else argument
