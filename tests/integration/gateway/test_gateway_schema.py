"""Schemathesis reads the gateway's own description and tries everything that it allows, and much that it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fixtures.front_door import FrontDoor

SCHEMA = "/auth/schema/openapi.json"
REFUSALS = [400, 401, 403, 404, 405, 413]


def test_every_answer_is_one_that_the_description_names(front_door: FrontDoor, tmp_path: Path) -> None:
    """Asked without nginx's limits: no server error, no undescribed status, body or content type, whatever is sent."""
    config, described = front_door.config, tmp_path / "openapi.json"
    # 413 is a refusal, too; it is not among those that schemathesis knows.
    (tmp_path / "schemathesis.toml").write_text(f"[checks.negative_data_rejection]\nexpected-statuses = {REFUSALS}\n")
    described.write_bytes(front_door.edge.get(SCHEMA).body)
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", described, "--url", f"https://127.0.0.1:{config.port}",
            "--tls-verify", config.tls / "ca.pem", "--request-cert", config.tls / "nginx.pem",
            "--request-cert-key", config.tls / "nginx.key", "--header", "Host: localhost",
            "--header", "X-Real-IP: 198.51.100.1", "--max-examples", "15", "--generation-deterministic", "--no-color",
            "--suppress-health-check", "all",
        ],
        capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Tested: 11" in done.stdout
