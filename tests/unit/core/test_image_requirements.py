from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def pins(text: str) -> list[str]:
    """Versions and hashes, without comments."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_the_images_requirements_are_the_locks() -> None:
    """deploy/requirements.txt holds what uv.lock says, hash by hash: the core and the extra `cloudflare`."""
    uv = subprocess.run(["sh", ROOT / "scripts/lib/uv.sh"], capture_output=True, text=True, check=True).stdout.strip()
    told = subprocess.run(
        [uv, "export", "--frozen", "--no-default-groups", "--extra", "cloudflare", "--no-emit-project", "--no-header",
         "--format", "requirements-txt"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert pins((ROOT / "deploy/requirements.txt").read_text()) == pins(told)
