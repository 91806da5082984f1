#!/usr/bin/env bash
# Chromium and its driver, for the browser tests of tests/test_explorer.py, which are skipped without them.
set -euo pipefail
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
  echo "chromium and chromedriver are here"
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core
else
  echo "Install chromium and chromedriver, on Debian: sudo apt-get install chromium chromium-driver" >&2
  exit 1
fi
