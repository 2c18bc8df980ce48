#!/bin/sh
# loop.sh SECONDS COMMAND...: runs the command, waits, runs it again; until TERM, or until its parent is gone.
# A run that was begun is finished first: it may be in the middle of a rotation.
set -u

seconds=$1
shift
parent=$PPID
ended=''
sleeping=''
trap 'ended=1; [ -z "$sleeping" ] || kill "$sleeping" 2>/dev/null' TERM INT

while [ -z "$ended" ]; do
    "$@" &
    while kill -0 "$!" 2>/dev/null; do
        wait "$!" || :
    done
    read -r stat <"/proc/$$/stat"
    stat=${stat##*) ? }
    [ -z "$ended" ] && [ "${stat%% *}" = "$parent" ] || exit 0
    sleep "$seconds" &
    sleeping=$!
    wait "$sleeping" || :
    sleeping=''
done
