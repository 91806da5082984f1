#!/usr/bin/env bash
# Chromium and its driver, for the browser tests of tests/test_explorer.py and tests/test_docs.py, which are skipped
# without them, and axe-core, which looks for what hinders people in the pages of the site.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/from_npm.sh axe-core 4.14.1 axe.min.js 29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c \
  .from_npm/axe.min.js || echo "without axe-core the pages of the site are not examined"
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
  echo "chromium and chromedriver are here"
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core
else
  echo "Install chromium and chromedriver, on Debian: sudo apt-get install chromium chromium-driver" >&2
  exit 1
fi
