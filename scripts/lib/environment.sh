#!/bin/sh
# Installs one locked virtual environment of the checkout.
# usage: environment.sh UV PYTHON .venv|.venv-bot SYNC-ARGUMENT...
# uv, killed while it installs, takes half a package for a whole one afterwards (measured, 0.13.9): until an environment
# is complete a mark says so, and what a killed run left is made anew; finished downloads are in uv's cache.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
uv=$1 python=$2 environment=$root/$3 unfinished=$root/.tools/unfinished$3
shift 3
[ ! -e "$unfinished" ] || rm -rf "$environment"
mkdir -p "$root/.tools"
: >"$unfinished"
export UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT="$environment"
if ! "$uv" sync --project "$root" --quiet --frozen --python "$python" "$@"; then
    echo 'nasos: error: the dependencies could not be installed' >&2
    echo 'nasos: hint: run the command again; finished downloads are kept' >&2
    exit 3
fi
rm "$unfinished"
