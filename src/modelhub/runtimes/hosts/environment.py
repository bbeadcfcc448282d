"""What of this process's environment a child gets: what Python and engines need, and no secrets.

A child reads files that strangers made, and may run a plugin. Nothing in it needs a token: it opens no
socket, and everything that it loads is on the disk already.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

_PASSED = re.compile(
    "PATH|HOME|USER|LOGNAME|TMPDIR|TEMP|TMP|TZ|LANG|LANGUAGE|LC_.*|VIRTUAL_ENV|XDG_.*"
    "|PYTHON.*|LD_.*|DYLD_.*|SSL_CERT_.*|COVERAGE_PROCESS_.*"
    "|(OMP|KMP|GOMP|MKL|OPENBLAS|BLIS|NUMEXPR|GGML|LLAMA|TORCH|PYTORCH|TORCHINDUCTOR|TRITON|ATEN|ORT)_.*"
    "|(CUDA|NVIDIA|NCCL|CUDNN|CUBLAS|HIP|HSA|ROCM|ROCR|AMD|VK|VLLM|ONEAPI|SYCL|ZE|METAL|MALLOC)_.*"
)
_SECRET = re.compile("TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|PRIVATE", re.IGNORECASE)
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}


def child_environment(
    python: str = sys.executable, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of a child that `python` runs; `environ` is this process's by default.

    The same interpreter also gets this one's module path, so that it finds the same packages.
    """
    environ = os.environ if environ is None else environ
    passed = {
        key: value
        for key, value in environ.items()
        if _PASSED.fullmatch(key) and not _SECRET.search(key)
    }
    if python == sys.executable:
        passed["PYTHONPATH"] = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    else:
        passed.pop("PYTHONPATH", None)
        passed.pop("PYTHONHOME", None)
    return passed | _OFFLINE
