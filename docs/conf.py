import ast
import builtins
import contextlib
import importlib
import inspect
import pkgutil
import re
import sys
import tomllib
from pathlib import Path
from types import GenericAlias, ModuleType
from typing import Any, TypeVar, get_type_hints

from docutils import nodes
from pydantic import BaseModel
from sphinx import addnodes
from sphinx.util.inspect import stringify_annotation
from sphinx.util.nodes import make_refnode

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

project = "mosaic_dagster"
author = "mosaic_dagster maintainers"
copyright = "mosaic_dagster maintainers, Apache License 2.0"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "version"
]

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_static_path = ["_static"]
html_theme_options = {
    "description": "From tracking files to behaviour clusters",
    "page_width": "1100px",
    "sidebar_width": "230px",
}
nitpicky = True
toc_object_entries = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
python_use_unqualified_type_names = True


def packages() -> list[str]:
    """Names of the packages of the wheel, the root first."""
    root = importlib.import_module("mosaic_dagster")
    walked = pkgutil.walk_packages(root.__path__, "mosaic_dagster.")
    return ["mosaic_dagster", *sorted(module.name for module in walked if module.ispkg)]


def lend_type_names(module: ModuleType) -> None:
    """Give a module the names of ours that it imports for type checkers only, to be linked."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom) and str(line.module).startswith("mosaic_"):
                    home = importlib.import_module(str(line.module))
                    for name in line.names:
                        vars(module).setdefault(name.asname or name.name, getattr(home, name.name))


def page_of(package: str) -> str:
    """Write the text of a package's page: its public names, then each of its modules."""
    module = importlib.import_module(package)
    lines = [package, "=" * len(package), "", (module.__doc__ or "").strip(), ""]
    public = sorted(getattr(module, "__all__", []))
    if public:
        has_page = {name: hasattr(getattr(module, name), "__qualname__") for name in public}
        links = {name: f":py:obj:`{name} <{package}.{name}>`" for name in public}
        shown = (links[name] if has_page[name] else f"``{name}``" for name in public)
        lines += ["Public names: " + ", ".join(shown) + ".", ""]
    for info in pkgutil.iter_modules(module.__path__, f"{package}."):
        if not info.ispkg and not info.name.rpartition(".")[2].startswith("_"):
            # Imported here, since autodoc's own first import pretends to be a type checker,
            # which Dagster does not survive.
            lend_type_names(importlib.import_module(info.name))
            lines += [info.name, "-" * len(info.name), ""]
            lines += [f".. automodule:: {info.name}", "   :members:", "   :ignore-module-all:", ""]
    return "\n".join(lines)


def write_reference(_: Any) -> None:
    """Write a page per package below ``reference/api``, so that no module can be forgotten."""
    folder = HERE / "reference" / "api"
    folder.mkdir(exist_ok=True)
    wanted = {f"{package}.rst": page_of(package) for package in packages()}
    for page in folder.glob("*.rst"):
        if page.name not in wanted:
            page.unlink()
    for name, text in wanted.items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def find(target: str, module: str) -> object:
    """Find what a reference names, from the top or as seen in a module; None when nothing."""
    for start in (target.split("."), [*module.split("."), *target.split(".")]):
        for cut in range(len(start), 0, -1):
            found: object = sys.modules.get(".".join(start[:cut]))
            for name in start[cut:] if found is not None else []:
                found = getattr(found, name, None)
            if found is not None:
                return found
    return getattr(builtins, target, None)


def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Link a re-exported or unqualified name to its home, and leave foreign names as text.

    The inventories of other libraries lie in the network, which the build does without. Names of
    this project that nothing answers to stay errors.
    """
    if node.get("refdomain") != "py":
        return None
    target = re.split(r"[\[~]", node["reftarget"])[0]
    found = find(target, node.get("py:module") or "")
    home = getattr(found, "__module__", None) or getattr(found, "__name__", "mosaic_dagster")
    private = any(name.rpartition(".")[2].startswith("_") for name in (home, target))
    ours = found is None or (home.startswith("mosaic_dagster") and not private)
    if isinstance(found, TypeVar) or not ours:
        return content
    domain, seen = env.domains.python_domain, (None, None)
    names = [f"{home}.{getattr(found, '__qualname__', target)}", target]
    for mode, name in enumerate(names):  # second, any name that ends so, if there is just one
        matches = domain.find_obj(env, *seen, name, node["reftype"], searchmode=mode)
        if len(matches) == 1:
            docname, anchor = matches[0][1].docname, matches[0][1].node_id
            return make_refnode(app.builder, node["refdoc"], docname, anchor, content)
    return None


def unlink_builtins(_app: Any, doctree: Any) -> None:
    """Leave ``bytes`` and its like as text, or Sphinx links them to attributes of that name."""
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node.get("refdomain") == "py" and hasattr(builtins, node["reftarget"]):
            conditional = isinstance(node.children[0], addnodes.pending_xref_condition)
            node.replace_self(nodes.Text(node["reftarget"]) if conditional else node.children)


def describe_model(
    _app: Any, what: str, _name: str, obj: Any, _options: Any, signature: str, returns: str
) -> tuple[str, str]:
    """Show the fields of a pydantic model as its signature, without their constraints."""
    if what != "class" or not (isinstance(obj, type) and issubclass(obj, BaseModel)):
        return signature, returns
    fields = []
    for name, field in obj.model_fields.items():
        holder = type(
            name, (), {"__module__": "builtins", "__annotations__": {name: field.annotation}}
        )
        kind = stringify_annotation(get_type_hints(holder)[name], "smart")
        default = field.get_default(call_default_factory=not field.is_required())
        shown = "" if field.is_required() else f" = {default!r}"
        fields.append(f"{name}: {kind}{shown}")
    return f"(*, {', '.join(fields)})" if fields else "()", returns


def strip_options(_app: Any, obj: Any, _bound: bool) -> None:
    """Show types without what pydantic or the command line is told beside them."""
    if (getattr(obj, "__module__", None) or "").startswith("mosaic_dagster."):
        with contextlib.suppress(NameError, TypeError, AttributeError):
            if "Annotated[" in str(get_type_hints(obj, include_extras=True)):
                obj.__annotations__ = get_type_hints(obj)


def skip_noise(_app: Any, _what: str, name: str, obj: Any, skip: bool, _options: Any) -> bool:
    """Leave out pydantic's settings, and aliases that Python 3.11 takes for classes."""
    return skip or isinstance(obj, GenericAlias) or name == "model_config"


def setup(app: Any) -> None:
    """Connect the functions above to the build."""
    app.connect("builder-inited", write_reference)
    app.connect("doctree-read", unlink_builtins)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-signature", describe_model)
    app.connect("autodoc-before-process-signature", strip_options)
    app.connect("autodoc-skip-member", skip_noise)
