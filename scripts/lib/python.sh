#!/bin/sh
# Prints the Python that both virtual environments are made with.
set -eu

# As root every service has a user of its own, which must be able to execute this interpreter too.
suits() {
    check='import sys, ssl; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'
    if [ "$(id -u)" = 0 ]; then
        # The shell in between matters: setpriv's own exec still has root's capabilities.
        # shellcheck disable=SC2016  # the inner shell expands these
        setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'exec "$0" "$@"' "$1" -I -c "$check" 2>/dev/null
    else
        "$1" -I -c "$check" 2>/dev/null
    fi
}

for name in python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do
    candidate=$(command -v "$name" || true)
    [ -n "$candidate" ] || continue
    # The interpreter itself: not a version switcher's shim, not a virtual environment that is activated right now.
    candidate=$("$candidate" -I -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null) ||
        continue
    if suits "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done
echo 'nasos: error: no Python from 3.11 to 3.14 was found that this user (as root: any user) may run' >&2
echo 'nasos: hint: apt-get install python3 python3-pip' >&2
exit 3
