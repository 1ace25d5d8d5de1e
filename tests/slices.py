"""Parts of a notebook: its statements, and of those the ones that some of them need."""

import ast
import symtable

import nbformat


def statements(path):
    """The top-level statements of a notebook, in order, but for the cell that installs wmlab on
    Colab.
    """
    return [
        statement
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", [])
        for statement in ast.parse(cell.source).body
    ]


def reads(statement):
    """The global names that a statement reads, in the functions and comprehensions in it, too."""
    return _read(symtable.symtable(ast.unparse(statement), "", "exec"))


def _read(table):
    here = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or table.get_name() == "top")
    }
    return here.union(*map(_read, table.get_children()))


def _owner(node):
    """`x` of `x.y` and `x[0].y`, if there is one."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return getattr(node, "id", None)


def given(statement):
    """The names that a statement binds, and those whose value it changes, as `x[0] = 1` and
    `x.append(1)` do.
    """
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}, set()
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}, set()
    stored = {
        _owner(node)
        for node in ast.walk(statement)
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store)
    }
    called = {
        _owner(node.value.func)
        for node in ast.walk(statement)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
    }
    bound = {
        symbol.get_name()
        for symbol in symtable.symtable(ast.unparse(statement), "", "exec").get_symbols()
        if symbol.is_assigned()
    }
    return (
        (bound, stored) if isinstance(statement, ast.Assign) else (set(), bound | stored | called)
    )


def needed(everything, wanted):
    """Those of the statements for which `wanted(statement)` is true, with all that they are made
    from, and `wmlab.setup()`.
    """
    modules = set().union(
        *(given(each)[0] for each in everything if isinstance(each, (ast.Import, ast.ImportFrom)))
    )
    chosen, names = [], set()
    for statement in reversed(everything):
        bound, changed = given(statement)
        used = bound & names or (changed - modules) & names
        if used or wanted(statement) or "wmlab.setup(" in ast.unparse(statement):
            chosen.append(statement)
            names = names - bound | reads(statement)
    return chosen[::-1]


def run(code, name, scope=None):
    """Run statements, in the scope of others; return the names that they have defined."""
    scope = {} if scope is None else scope
    exec(compile(ast.Module(code, []), name, "exec"), scope)
    return scope
