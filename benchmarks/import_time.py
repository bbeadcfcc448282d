"""Claim: `import modelhub` costs at most 30 ms more than bare Python, and loads nothing heavy."""

import subprocess
import sys
import time

from harness import absolute, arguments, interleave, report

HEAVY = [
    "torch",
    "transformers",
    "diffusers",
    "onnxruntime",
    "llama_cpp",
    "xllamacpp",
    "numpy",
    "sqlalchemy",
    "alembic",
    "huggingface_hub",
    "starlette",
    "rich",
    "pydantic",
]


def main() -> int:
    options = arguments(__doc__)
    rounds = options.rounds or (15 if options.quick else 60)
    loaded, bare = interleave(lambda: start("import modelhub"), lambda: start("pass"), rounds, warmup=3)
    added = [(a - b) * 1000 for a, b in zip(loaded, bare, strict=True)]
    return report(
        [
            absolute("import modelhub, beyond bare Python", added, 30.0, "ms"),
            absolute("heavy modules that it loads", [float(count_heavy())], 0.0, "modules"),
        ],
        as_json=options.json,
    )


def start(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def count_heavy() -> int:
    code = f"import sys, modelhub; print(sum(name in sys.modules for name in {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
