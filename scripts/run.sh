#!/usr/bin/env bash
# The demonstration of "make run": makes an image of a small program for eight platforms, copies all of it and two of its
# platforms, pulls some of them into a local store, resolves them, adds one that was left out, saves the image and loads it, and
# shows what is there and what was moved. It needs bin/dhow and the Go toolchain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PATH=$PWD/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n== %s\n' "$*"; }
run() {
	echo "\$ $*"
	(cd "$work" && "$@")
}
root() { (cd "$work" && dhow inspect --format '{{.Digest}}' "$1"); }

# Prints a line for each descriptor of a receipt, and its totals.
receipt() {
	awk -F '"' '
		/^    \{/ { entry = 1; role = action = digest = platform = reason = ""; next }
		/^    \}/ && entry {
			line = sprintf("%-8s %-11s %s  %-30s %s", action, role, substr(digest, 1, 19), platform, reason)
			sub(/ +$/, "", line)
			print line
			entry = 0
		}
		entry && $2 == "role" { role = $4 }
		entry && $2 == "action" { action = $4 }
		entry && $2 == "digest" { digest = $4 }
		entry && $2 == "platform" { platform = $4 }
		entry && $2 == "reason" { reason = "(" $4 ")" }
		/"bytes(Copied|Reused)"/ { gsub(/[ ",]/, ""); sub(/:/, " "); print }
	' "$work/$1"
}

# Prints the manifest that each platform means in the local store, or that there is none.
resolve() {
	local platform found
	echo '$ dhow --root store inspect --platform PLATFORM --format {{.Manifest}} hello:1'
	for platform in linux/amd64 linux/arm64 linux/arm/v7 linux/arm/v6 linux/ppc64le linux/s390x linux/riscv64 windows/amd64; do
		found=$(cd "$work" && dhow --root store inspect --platform "$platform" --format '{{.Manifest}}' hello:1 2>/dev/null) ||
			found="exit code $?: it is not here"
		printf '%-14s %s\n' "$platform" "$found"
	done
}

# Compares the ID of an image in the two local stores.
same_id() {
	local one other
	one=$(cd "$work" && dhow --root store inspect --format '{{.ID}}' "$1")
	other=$(cd "$work" && dhow --root other inspect --format '{{.ID}}' "$1")
	if [[ $one != "$other" ]]; then
		echo "$1 is $one in one store, $other in the other" >&2
		exit 1
	fi
	echo "$1 has the same ID in both stores: $one"
}

same() {
	if [[ $(root "$1") != "$(root "$2")" ]]; then
		echo "$1 is $(root "$1"), $2 is $(root "$2")" >&2
		exit 1
	fi
	echo "$1 and $2 have the same root: $(root "$1")"
}

say 'An image for eight platforms, with two attestations and an SBOM that refers to it'
echo '(the first time, Go compiles its library for each of them)'
"${GO:-go}" run ./internal/sample "$work/sample"
run dhow inspect oci:sample:latest

say 'All of it, copied'
run dhow copy --progress none --receipt all.json oci:sample:latest oci:all:latest
receipt all.json

say 'Again: nothing is left to do'
run dhow copy --progress none oci:sample:latest oci:all:latest

say 'Two platforms of it, with the attestation of the one that has one; the list keeps its digest'
run dhow copy --progress none --receipt two.json --platform linux/arm64,linux/arm/v7 oci:sample:latest oci:two:latest
receipt two.json

say 'The digests'
same oci:sample:latest oci:all:latest
same oci:sample:latest oci:two:latest

say 'Two platforms of it in a local store, and what is there of each'
run dhow --root store pull --progress none --platform linux/amd64,linux/arm/v7 oci:sample:latest hello:1
run dhow --root store images
run dhow --root store images --tree

say 'The manifest that each platform means there'
resolve

say 'The platform that was left out: only what is missing is moved, and the name stays where it is'
run dhow --root store pull --progress none --platform linux/arm64 oci:sample:latest hello:1
resolve
run dhow --root store images --tree

say 'Saved to an archive, what is here and the list as it is, and loaded into another store'
run dhow --root store save --quiet --index whole --output hello.tar hello:1
run dhow --root other load --quiet --input hello.tar
run dhow --root other images --tree
same_id hello:1
