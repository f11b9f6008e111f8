"""Chromium without a window, for the experiments and pictures that need a browser."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from tagger.review.server import RunningServer


def open_browser() -> webdriver.Chrome:
    """Start Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1250,980"):
        options.add_argument(argument)
    options.add_argument("--disable-dev-shm-usage")
    return webdriver.Chrome(options, Service(shutil.which("chromedriver") or "chromedriver"))


def log_in(driver: webdriver.Chrome, server: RunningServer) -> None:
    """Log in to Label Studio."""
    driver.get(f"{server.url}/user/login/")
    driver.find_element(By.NAME, "email").send_keys(server.email)
    driver.find_element(By.NAME, "password").send_keys(server.password)
    driver.find_element(By.NAME, "password").submit()
    WebDriverWait(driver, 60).until(lambda browser: "login" not in browser.current_url)
