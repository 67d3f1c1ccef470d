#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Seconds from starting `bitwright` to its window being on the screen, on a virtual screen; median of five.
# Needs Xvfb and xdotool. Usage: measure_start.sh PATH_TO_BITWRIGHT [MODEL]
set -euo pipefail
program=$1; shift
screen=:$((90 + RANDOM % 1000))
Xvfb "$screen" -screen 0 1440x900x24 >/dev/null 2>&1 &
server=$!
home=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$home"' EXIT
export DISPLAY=$screen XDG_CONFIG_HOME=$home XDG_DATA_HOME=$home
sleep 1
for _ in 1 2 3 4 5; do
    began=$(date +%s.%N)
    "$program" "$@" >/dev/null 2>&1 &
    started=$!
    xdotool search --sync --onlyvisible --name Bitwright >/dev/null
    ended=$(date +%s.%N)
    awk "BEGIN { print $ended - $began }"
    kill "$started"; wait "$started" 2>/dev/null || true
done | sort -n | sed -n 3p
