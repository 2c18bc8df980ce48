#!/bin/sh
# Sets up and starts the whole secured bot on this machine: no Docker, no root, no account. Safe to run again.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
needed_mb=2500 # both virtual environments (1.1 GB), download cache, state with room to grow

usage() {
    cat <<'TEXT'
usage: ./scripts/setup_security.sh [--port PORT]

Installs the locked dependencies into this checkout and starts OpenBao (Vault), PostgreSQL, the trading bot
on a synthetic market, and nginx on HTTPS. Run it again at any time; it goes on where it stopped.

  --port PORT   HTTPS port (default 8443); the six ports after it are used on loopback
  -h, --help    this text

Afterwards: ./nasos status, ./nasos down, ./scripts/security_test.sh
TEXT
}

fail() {
    echo "nasos: error: $1" >&2
    [ -z "${2:-}" ] || echo "nasos: hint: $2" >&2
    exit "${3:-3}"
}

step() { printf '[%s/4] %s\n' "$1" "$2" >&2; }

port=8443
chosen=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --port)
        [ $# -ge 2 ] || fail '--port needs a number' './scripts/setup_security.sh --port 8443' 2
        chosen=yes port=$2
        shift 2
        ;;
    --port=*)
        chosen=yes port=${1#--port=}
        shift
        ;;
    *) fail "unknown argument $1" './scripts/setup_security.sh --help' 2 ;;
    esac
done
# Before the downloads, not after them; the stack takes the six ports that follow.
case $port in
'' | *[!0-9]* | ??????*) number=0 ;;
*) number=$port ;;
esac
if [ "$number" -lt 1024 ] || [ "$number" -gt 65529 ]; then
    fail "--port $port is not a number from 1024 to 65529" './scripts/setup_security.sh --port 8443' 2
fi

[ "$(uname -s)" = Linux ] || fail "$(uname -s) is not supported, only Linux is" 'use a Linux machine or a virtual one'
case $(uname -m) in
x86_64) ;;
*) fail "no servers are packaged for $(uname -m)" 'use an x86_64 machine' ;;
esac

free_mb=$(df -Pm "$root" | awk 'NR == 2 { print $4 }') || free_mb=
case $free_mb in
'' | *[!0-9]*) free_mb=$needed_mb ;; # could not tell; uv and the stack look for themselves
esac
if [ ! -x "$root/.venv-bot/bin/python" ] && [ "$free_mb" -lt "$needed_mb" ]; then
    fail "$free_mb MB are free in $root, $needed_mb MB are needed" "df -h $root"
fi

step 1 'looking for Python 3.11 or newer'
python=$(sh "$root/scripts/lib/python.sh")

step 2 'installing the locked dependencies'
uv=$(sh "$root/scripts/lib/uv.sh" "$python")
# inexact: a developer's tools that are installed already stay. Bytecode now: as root the bot's user cannot write it.
install() { sh "$root/scripts/lib/environment.sh" "$uv" "$python" "$@" --inexact --compile-bytecode; }
install .venv --extra embedded --extra alerts --extra cloudflare --extra acme --extra gateway
step 3 'installing the bot into its own environment'
install .venv-bot --no-editable --extra bot --group freqtrade

step 4 'starting the stack'
exec "$root/nasos" up ${chosen:+--port "$port"}
