"""A real MLflow server for tests."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from helpers.ports import free_port, wait_for


class MlflowServer:
    """An MLflow server on SQLite that keeps the artifacts, too."""

    def __init__(self, folder):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [Path(sys.executable).with_name("mlflow"), "server", "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
        command += ["--artifacts-destination", folder / "files", "--port", str(port)]
        # Seven processes for jobs, which tagger has none of, would start beside it.
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (folder / "server.log").open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log
            )
        wait_for(f"{self.url}/health")

    def kill(self):
        """Kill it as a power cut would."""
        process = psutil.Process(self.process.pid)
        for member in [*process.children(recursive=True), process]:
            member.kill()
        self.process.wait()
