#!/bin/sh
# The security test: what is wrong, why it matters, how to mend it. Same as: ./nasos check [GROUP...] [--json] [--list]
# Exit codes: 0 clean, 1 findings, 2 usage, 3 could not tell.
set -eu
here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
exec "$here/nasos" check "$@"
