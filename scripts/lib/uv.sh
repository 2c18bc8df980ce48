#!/bin/sh
# Prints the path of a uv new enough for the lock; installs a hash-pinned one into .tools if there is none.
# usage: uv.sh [PYTHON]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${1:-python3}
ours=$root/.tools/uv/bin/uv
wanted=0.13.0

new_enough() {
    version=$("$1" --version 2>/dev/null | cut -d' ' -f2) || return 1
    [ "$(printf '%s\n%s\n' "$wanted" "$version" | sort -V | head -n 1)" = "$wanted" ]
}

for candidate in "$ours" "$(command -v uv || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ] && new_enough "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done

# --target installs into a directory of ours: allowed where the distribution forbids system-wide pip (PEP 668).
install() {
    "$@" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --requirement "$root/scripts/lib/uv-requirements.txt" --upgrade --target "$root/.tools/uv" >&2
}

rm -rf "$root/.tools/uv"
mkdir -p "$root/.tools"
if "$python" -m pip --version >/dev/null 2>&1; then
    install "$python" -m pip
elif "$python" -m venv "$root/.tools/venv" >/dev/null 2>&1; then
    # A bare Debian has no pip for the system's Python, but a venv brings one along where ensurepip is there.
    install "$root/.tools/venv/bin/python" -m pip
    rm -rf "$root/.tools/venv"
else
    rm -rf "$root/.tools/venv"
    echo "nasos: error: $python has neither pip nor ensurepip, so uv cannot be installed" >&2
    echo 'nasos: hint: apt-get install python3-pip' >&2
    exit 3
fi
new_enough "$ours" || {
    echo "nasos: error: the uv in $root/.tools/uv does not run" >&2
    echo "nasos: hint: rm -r $root/.tools, then run the command again" >&2
    exit 3
}
echo "$ours"
