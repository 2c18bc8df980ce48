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
    case $version in [0-9]*.[0-9]*) ;; *) return 1 ;; esac
    [ "$(printf '%s\n%s\n' "$wanted" "$version" | sort -V | head -n 1)" = "$wanted" ]
}

for candidate in "$ours" "$(command -v uv || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ] && new_enough "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done

fail() {
    rm -rf "$root/.tools/venv" "$root/.tools/uv.new"
    echo "nasos: error: $1" >&2
    echo "nasos: hint: $2" >&2
    exit 3
}

# --target installs into a directory of ours: allowed where the distribution forbids system-wide pip (PEP 668).
install() {
    PIP_ROOT_USER_ACTION=ignore "$@" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --requirement "$root/scripts/lib/uv-requirements.txt" --target "$root/.tools/uv.new" >&2 ||
        fail 'uv could not be installed' 'the lines above say why; behind a proxy set HTTPS_PROXY, then run it again'
}

# What a killed run left is no beginning: a new directory takes the old one's place when it is whole.
rm -rf "$root/.tools/uv.new" "$root/.tools/venv"
mkdir -p "$root/.tools"
if "$python" -m pip --version >/dev/null 2>&1; then
    install "$python" -m pip
elif "$python" -m venv "$root/.tools/venv" >/dev/null 2>&1; then
    # A bare Debian has no pip for the system's Python, but a venv brings one along where ensurepip is there.
    install "$root/.tools/venv/bin/python" -m pip
    rm -rf "$root/.tools/venv"
else
    fail "$python has neither pip nor ensurepip, so uv cannot be installed" 'apt-get install python3-pip'
fi
new_enough "$root/.tools/uv.new/bin/uv" ||
    fail "the uv that was installed does not run on this machine" 'install uv yourself: https://docs.astral.sh/uv/'
rm -rf "$root/.tools/uv"
mv "$root/.tools/uv.new" "$root/.tools/uv"
echo "$ours"
