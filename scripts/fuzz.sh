#!/bin/sh
# Runs every fuzz target of the given packages for FUZZTIME, one after another, and stops at the first finding.
set -eu
go=${GO:-go}

# "go test -list" names a package after its targets, on the line that starts with "ok".
list=$("$go" test -list '^Fuzz' "$@")
targets=$(printf '%s\n' "$list" | awk '/^Fuzz/ { names[n++] = $1 } $1 == "ok" { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }')
if [ -z "$targets" ]; then
	echo "no fuzz target in $*" >&2
	exit 1
fi
printf '%s\n' "$targets" | while read -r package target; do
	echo "== $package $target"
	"$go" test -run='^$' -fuzz="^$target\$" -fuzztime="${FUZZTIME:-60s}" -fuzzminimizetime=1s "$package"
done
