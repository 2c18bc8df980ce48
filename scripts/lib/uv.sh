#!/bin/sh
# Prints the path of a uv new enough for the lock; installs a hash-pinned one into .tools if there is none.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
ours=$root/.tools/uv/bin/uv
wanted=0.13

new_enough() {
    version=$("$1" --version 2>/dev/null | cut -d' ' -f2) || return 1
    [ "$(printf '%s\n%s\n' "$wanted" "$version" | sort -V | head -n 1)" = "$wanted" ]
}

if [ -x "$ours" ] && new_enough "$ours"; then
    echo "$ours"
    exit 0
fi
found=$(command -v uv || true)
if [ -n "$found" ] && new_enough "$found"; then
    echo "$found"
    exit 0
fi
echo 'TODO bootstrap' >&2
exit 3
