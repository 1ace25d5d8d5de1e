"""What this machine has: packages, processor, GPU. Facts for `runtime`; nothing is chosen here."""

import functools
import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import shutil
import subprocess

from wmlab import __version__

GROUP = pathlib.Path("/sys/fs/cgroup")  # the limits of a container
PACKAGES = ("numpy", "keras", "plotly", "ipywidgets")
# What pip calls a package, where that is not the name it is imported by.
DISTRIBUTIONS = {"tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos")}


def is_installed(package):
    """Return whether `package` can be imported, without importing it."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None  # the folder pip may leave has no origin


@functools.cache
def version(package):
    """Return the version of an installed package, or None."""
    for distribution in DISTRIBUTIONS.get(package, (package,)):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def versions(backend=None):
    """Return name to version of python, wmlab and the main packages; of `backend` too if given."""
    found = {"python": platform.python_version(), "wmlab": __version__}
    found |= {package: version(package) for package in PACKAGES}
    if backend:
        found["backend"] = f"{backend} {version(backend) or ''}".strip()
    return {name: text for name, text in found.items() if text}


def cores():
    """Return how many cores this process may use, in a container too."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _numbers("cpu.max") or _numbers("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
    return max(1, min(count, int(quota[0] / quota[1]))) if quota else count


def memory():
    """Return how many bytes of memory are free, in a container too."""
    import psutil  # which distributed needs, too

    free = psutil.virtual_memory().available
    used = _numbers("memory.max", "memory.current") or _numbers(
        "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"
    )
    return max(0, min(free, used[0] - used[1])) if used else free


def _numbers(*names):
    """The two numbers in files of a control group, version 2 or 1; None where there is no limit."""
    try:
        first, second = " ".join((GROUP / name).read_text() for name in names).split()
        return (int(first), int(second)) if int(first) > 0 else None
    except (OSError, ValueError):  # no such file, or "max"
        return None


def cpu():
    """Return the processor's name and its usable cores, in words."""
    count = cores()
    return f"{_cpu_name()}, {count} core{'s' if count > 1 else ''}"


@functools.cache
def _cpu_name():
    if platform.system() == "Linux":
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        return _output_of("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine() or "CPU"


def nvidia():
    """Return whether something hints at an NVIDIA GPU; cheap, and loads nothing."""
    return os.path.exists("/dev/nvidia0") or shutil.which("nvidia-smi") is not None


def gpu(backend):
    """Return the name of the GPU that `backend` computes on, or None.

    Loads the backend, but only where something hints at a GPU.
    """
    if not nvidia() or not is_installed(backend):
        return None
    if backend == "jax":
        # jax takes most of the GPU's memory when it first looks at it, unless told before.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax

        first = jax.devices()[0]
        return first.device_kind if first.platform in ("gpu", "cuda", "rocm") else None
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(found[0])["device_name"] if found else None
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def multiplies_bfloat16(backend):
    """Return whether what `backend` computes on multiplies matrices in bfloat16, and so faster than
    in float32.
    """
    if gpu(backend):
        if backend != "jax":
            return False  # nothing is known of it
        import jax

        return float(getattr(jax.devices()[0], "compute_capability", 0)) >= 8
    if backend != "tensorflow" or platform.system() != "Linux":
        return False
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
