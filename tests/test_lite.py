"""What would keep lessons 01, 02 and 05 from running in a browser alone, on Pyodide: the README tells of a trial."""
import json
import pathlib

import pytest

HERE = pathlib.Path(__file__).parent
LESSONS = ("01_boundary_twist", "02_key_samples", "05_expected_queries")
PYODIDE = set((HERE / "pyodide.txt").read_text(encoding="utf-8").partition("\n")[2].split())

# Runs a lesson in a fresh Python, and prints what it loaded and what it tried that a browser does not have.
RUN = """
import functools, json, re, sys
from IPython.core.interactiveshell import InteractiveShell
import nbformat

shell, tried = InteractiveShell.instance(), set()
from wmlab.panels import p01
p01.averaged = functools.partial(p01.averaged, seeds=6)  # of 200, which take a minute and load nothing more
NOT_THERE = {"subprocess.Popen", "os.fork", "os.posix_spawn", "os.system", "_thread.start_new_thread", "socket.connect",
             "socket.bind"}
sys.addaudithook(lambda event, _: tried.add(event) if event in NOT_THERE else None)
for cell in nbformat.read(sys.argv[1], as_version=4).cells:
    if cell.cell_type == "code":
        shell.run_cell(cell.source).raise_error()
modules = sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))
compiled = set()
from importlib.metadata import distribution, packages_distributions
owners = packages_distributions()
for owner in {owner for module in modules for owner in owners.get(module, ())}:
    tags = re.findall("^Tag: (.*)$", distribution(owner).read_text("WHEEL") or "", re.M)
    if not all(tag.endswith("-none-any") for tag in tags):
        compiled.add(re.sub("[-_.]+", "-", owner).lower())
print("RESULT", json.dumps({"modules": modules, "compiled": sorted(compiled), "tried": sorted(tried)}))
"""
# Compiled where there is a wheel for it, and published without compiled code, too.
PURE_AS_WELL = {"psygnal", "charset-normalizer"}


@pytest.fixture(scope="module", params=LESSONS)
def ran(request, python, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param)
    path = HERE.parent / "notebooks" / f"{request.param}.ipynb"
    code = f"import os, sys; os.chdir({str(place)!r}); sys.argv = ['', {str(path)!r}]\n{RUN}"
    done = python(code, timeout=300, WMLAB_SCALE="class", IPYTHONDIR=str(place))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rsplit("RESULT ", 1)[1])


@pytest.mark.slow
class TestLesson:
    def test_loads_nothing_that_pyodide_lacks(self, ran):
        assert {"numpy", "pandas", "scipy"} <= set(ran["compiled"]), "the test is blind"
        assert set(ran["compiled"]) - PURE_AS_WELL - PYODIDE == set()

    def test_loads_no_framework_and_no_server(self, ran):
        assert "wmlab" in ran["modules"] and "plotly" in ran["modules"]
        unwanted = {"keras", "tensorflow", "jax", "torch", "h5py", "httpx", "starlette", "uvicorn", "psutil", "distributed"}
        assert unwanted & set(ran["modules"]) == set()

    def test_needs_no_thread_process_or_socket(self, ran):
        assert ran["tried"] == []
