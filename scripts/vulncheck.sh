#!/bin/sh
# Runs govulncheck on the given packages. Where its database cannot be reached it says so and goes on: a machine
# without the internet must be able to run the linters.
set -u
go=${GO:-go}

out=$("$go" tool -modfile=tools/go.mod govulncheck "$@" 2>&1)
code=$?
printf '%s\n' "$out"
case "$code:$out" in
1:*'fetching vulnerabilities:'*)
	echo 'govulncheck: NOT CHECKED, the database cannot be reached'
	exit 0
	;;
esac
exit "$code"
