"""A real MLflow server for tests."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from helpers.ports import free_port, wait_for


class MlflowServer:
    """An MLflow server on SQLite that keeps the artifacts, too."""

    def __init__(self, folder, database="server.db"):
        self.folder, self.database = folder, database
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        """Start it, at the same address if it was killed."""
        command = [Path(sys.executable).with_name("mlflow"), "server", "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/{self.database}"]
        command += ["--artifacts-destination", self.folder / "files", "--port", str(self.port)]
        # Seven processes for jobs, which tagger has none of, would start beside it.
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log
            )
        wait_for(f"{self.url}/health")

    def kill(self):
        """Kill it as a power cut would."""
        process = psutil.Process(self.process.pid)
        for member in [*process.children(recursive=True), process]:
            member.kill()
        self.process.wait()
