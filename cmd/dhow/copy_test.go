package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
)

func TestCopySaysInOneLineWhatItDid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.images["latest"].Digest.String()
	for _, want := range []string{
		"oci:out:x " + root + " copied 26, reused 0; 17.8 kB moved\n",
		"oci:out:x " + root + " copied 0, reused 26; 0 B moved\n",
	} {
		r := w.run(t, "copy", "--quiet", "oci:layout:latest", "oci:out:x")
		if r.code != 0 || r.stdout != want || r.stderr != "" {
			t.Errorf("got %+v, want the output %q", r, want)
		}
	}
}

func TestCopyOfAPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	latest, sparse := w.images["latest"].Digest, w.images["sparse"].Digest
	amd64 := w.images["single"].Digest
	for _, tc := range []struct {
		name, flags, source string
		platforms           string // that are there; of a single image its own
		same                bool   // the root stays as it is
		code                int
	}{
		{name: "everything", source: "latest", platforms: "linux/amd64 linux/arm64/v8 linux/arm/v7 windows(10.0.20348.1)/amd64", same: true},
		{name: "all", flags: "--all", source: "latest", platforms: "linux/amd64 linux/arm64/v8 linux/arm/v7 windows(10.0.20348.1)/amd64", same: true},
		{name: "one platform", flags: "--platform aarch64", source: "latest", platforms: "linux/arm64/v8"},
		{name: "one platform in the list", flags: "--platform linux/arm64 --sparse", source: "latest", platforms: "linux/arm64/v8", same: true},
		{name: "one platform, the rest stripped", flags: "--platform linux/arm64 --strip", source: "latest", platforms: "linux/arm64/v8"},
		{name: "two platforms", flags: "--platform linux/arm64,linux/arm/v7", source: "latest", platforms: "linux/arm64/v8 linux/arm/v7", same: true},
		{name: "two platforms, each with a flag", flags: "--platform linux/arm64 --platform linux/arm/v7", source: "latest", platforms: "linux/arm64/v8 linux/arm/v7", same: true},
		{name: "three platforms, two with one flag", flags: "--platform linux/arm64,linux/arm/v7 --platform linux/amd64", source: "latest", platforms: "linux/amd64 linux/arm64/v8 linux/arm/v7", same: true},
		{name: "one platform twice", flags: "--platform linux/arm64 --platform linux/aarch64", source: "latest", platforms: "linux/arm64/v8"},
		{name: "an instance", flags: "--instance " + amd64.String(), source: "latest", platforms: "linux/amd64", same: true},
		{name: "an instance and a platform", flags: "--platform windows/amd64 --instance " + amd64.String(), source: "latest", platforms: "linux/amd64 windows(10.0.20348.1)/amd64", same: true},
		{name: "index only", flags: "--index-only", source: "latest", same: true},
		{name: "sparse source", flags: "--sparse", source: "sparse", platforms: "linux/amd64", same: true},
		{name: "sparse source stripped", flags: "--strip", source: "sparse", platforms: "linux/amd64"},
		{name: "strip and preserve", flags: "--platform linux/arm64 --strip --preserve-digests", source: "latest", code: 1},
		{name: "other architecture", flags: "--platform linux/386", source: "latest", code: 2},
		{name: "arm on arm64", flags: "--platform linux/arm64 --compatible", source: "latest", platforms: "linux/arm64/v8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out := "oci:" + t.TempDir() + "/out:x"
			args := append([]string{"copy", "-q"}, strings.Fields(tc.flags)...)
			r := w.run(t, append(args, "oci:layout:"+tc.source, out)...)
			if r.code != tc.code {
				t.Fatalf("exit code %d, want %d\n%s", r.code, tc.code, r.stderr)
			}
			if tc.code != 0 {
				return
			}
			const there = `{{if .Instances}}{{range .Instances}}{{if not .Absent}}{{.Platform}} {{end}}{{end}}{{else}}{{.Details.Platform}}{{end}}`
			if got := strings.TrimSpace(w.must(t, "inspect", "--format", there, out)); got != tc.platforms {
				t.Errorf("platforms are %q, want %q", got, tc.platforms)
			}
			source := latest
			if tc.source == "sparse" {
				source = sparse
			}
			if got := w.root(t, out); (got == source) != tc.same {
				t.Errorf("the root is %s, the source's %s; same: want %t", got, source, tc.same)
			}
		})
	}
}

func TestCopyThereAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"latest", "single", "artifact"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w.must(t, "copy", "-q", "oci:layout:"+name, "dir:"+dir+"/plain")
			w.must(t, "copy", "-q", "dir:"+dir+"/plain", "oci:"+dir+"/back:"+name)
			if got, want := w.root(t, "oci:"+dir+"/back:"+name), w.images[name].Digest; got != want {
				t.Errorf("root is %s, want %s", got, want)
			}
		})
	}
}

func TestWhatBelongsToAnImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for flags, want := range map[string]string{
		"":                                      "application/spdx+json sig",
		"--referrers=false":                     "sig",
		"--digest-tags=false":                   "application/spdx+json",
		"--remove-signatures":                   "application/spdx+json",
		"--referrers=false --digest-tags=false": "",
		"--remove-signatures --referrers=false -q": "",
	} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			out := "oci:" + t.TempDir() + "/out:x"
			w.must(t, append(append([]string{"copy"}, strings.Fields(flags)...), "oci:layout:latest", out)...)
			const belonging = `{{range .Referrers}}{{.ArtifactType}} {{end}}{{range .Instances}}{{range .Referrers}}{{slice .Tag 72}}{{end}}{{end}}`
			if got := strings.TrimSpace(w.must(t, "inspect", "--format", belonging, out)); got != want {
				t.Errorf("%q belong to it, want %q", got, want)
			}
		})
	}
}

func TestConversion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "copy", "-q", "--format", "v2s2", "--platform", "linux/arm64", "oci:layout:latest", "oci:docker:x")
	w.must(t, "copy", "-q", "--format", "oci", "oci:docker:x", "oci:back:x")
	const mediaType = "{{.MediaType}}"
	if got := w.must(t, "inspect", "--format", mediaType, "oci:docker:x"); got != "application/vnd.docker.distribution.manifest.v2+json\n" {
		t.Errorf("converted to %q", got)
	}
	// The way back keeps the config, and has the same layers.
	const parts = "{{.Config.Digest}}{{range .Layers}} {{.Digest}}{{end}}"
	if got, want := w.must(t, "inspect", "--format", parts, "oci:back:x"), w.must(t, "inspect", "--format", parts, "--platform", "linux/arm64", "oci:layout:latest"); got != want {
		t.Errorf("came back as %s, was %s", got, want)
	}
	kept := w.run(t, "copy", "-q", "--format", "v2s2", "--remove-signatures", "oci:layout:latest", "oci:kept:x")
	if kept.code != 0 || !strings.HasPrefix(kept.stderr, "note: attestation ") {
		t.Errorf("no note on kept attestations: %q", kept.stderr)
	}
	signed := w.run(t, "copy", "-q", "--format", "v2s2", "oci:layout:latest", "oci:signed:x")
	if signed.code != 1 || !strings.Contains(signed.stderr, "it is signed by tag") {
		t.Errorf("a signed image was converted: %+v", signed)
	}
	dropped := w.run(t, "copy", "-q", "--format", "v2s2", "--drop-attestations", "--remove-signatures", "oci:layout:latest", "oci:dropped:x")
	if dropped.code != 0 || strings.Contains(w.must(t, "inspect", "oci:dropped:x"), "attestation") {
		t.Errorf("attestations were not dropped: %+v", dropped)
	}
}

func TestSharedBlobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "copy", "-q", "--dest-shared-blob-dir", filepath.Join(w.dir, "blobs"), "oci:layout:latest", "oci:lean:x")
	if _, err := os.Stat(filepath.Join(w.dir, "blobs", "sha256", w.images["latest"].Digest.Encoded())); err != nil {
		t.Error(err)
	}
	if r := w.run(t, "inspect", "oci:lean:x"); r.code != 2 {
		t.Errorf("the layout has its blobs itself: %+v", r)
	}
	w.must(t, "inspect", "--shared-blob-dir", "blobs", "oci:lean:x")
	w.must(t, "copy", "-q", "--src-shared-blob-dir", "blobs", "oci:lean:x", "oci:fat:x")
	if got, want := w.root(t, "oci:fat:x"), w.images["latest"].Digest; got != want {
		t.Errorf("root is %s, want %s", got, want)
	}
}

func TestLastWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "copy", "-q", "--last-wins", "oci:layout:twice", "oci:out:x")
	if got := w.must(t, "inspect", "--last-wins", "--format", "{{.Details.Platform}}", "oci:layout:twice"); got != "linux/arm64/v8\n" {
		t.Errorf("the platform is %q", got)
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got, want := w.must(t, "copy", "--dry-run", "oci:layout:single", "oci:out:x"), "  tag ….sig of "+text.Short(w.images["single"].Digest)+"\n"; !strings.Contains(got, want) {
		t.Errorf("the plan does not say %q:\n%s", want, got)
	}
	args := []string{"copy", "--dry-run", "--platform", "linux/arm64,linux/arm/v7", "oci:layout:latest", "oci:out:x"}
	r := w.run(t, args...)
	golden(t, "dryrun.txt", r.stdout)
	if r.code != 0 || r.stderr != "" {
		t.Errorf("got %+v", r)
	}
	asJSON := w.must(t, append(args, "--json")...)
	golden(t, "dryrun.json", asJSON)
	var plan planReport
	if err := json.Unmarshal([]byte(asJSON), &plan); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "out")); err == nil {
		t.Error("a dry run wrote something")
	}

	// What is copied then is what was planned.
	var receipt copy.Receipt
	if err := json.Unmarshal([]byte(w.must(t, "copy", "-q", "--json", "--platform", "linux/arm64,linux/arm/v7", "oci:layout:latest", "oci:out:x")), &receipt); err != nil {
		t.Fatal(err)
	}
	key := func(e copy.Entry) string { return string(e.Action) + " " + e.Digest.String() + " " + e.Reason }
	var planned, done []string
	for _, e := range plan.Descriptors {
		planned = append(planned, key(e))
	}
	for _, e := range receipt.Entries {
		done = append(done, key(e))
	}
	slices.Sort(planned)
	slices.Sort(done)
	if !slices.Equal(planned, done) || plan.Root.Digest != receipt.Root.Digest {
		t.Errorf("planned:\n%s\ndone:\n%s", strings.Join(planned, "\n"), strings.Join(done, "\n"))
	}
}

func TestProgressOnStandardError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain := w.run(t, "copy", "--parallel", "1", "oci:layout:single", "oci:plain:x")
	line := regexp.MustCompile(`(?m)^\[[1-7]/[47]\] copied +(config|layer|manifest) +sha256:[0-9a-f]{12} +[0-9.]+ k?B$`)
	if n := len(line.FindAllString(plain.stderr, -1)); n != 7 || strings.Count(plain.stderr, "\n") != 10 {
		t.Errorf("plain progress has %d lines of descriptors:\n%s", n, plain.stderr)
	}
	if !strings.HasPrefix(plain.stderr, "planned: 4 descriptors, ") || !strings.Contains(plain.stderr, "\nwith what is attached: 7 descriptors, ") || !strings.Contains(plain.stderr, "\ncommitted: 7 descriptors, ") {
		t.Errorf("plain progress:\n%s", plain.stderr)
	}

	r := w.run(t, "copy", "--progress", "json", "oci:layout:single", "oci:json:x")
	var kinds []copy.EventKind
	var last copy.Event
	for line := range strings.Lines(r.stderr) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		kinds = append(kinds, last.Kind)
	}
	if len(kinds) < 3 || kinds[0] != copy.EventPlanned || last.Kind != copy.EventCommitted || last.Done != last.Total || last.Finished != last.Count {
		t.Errorf("events are %q, the last is %+v", kinds, last)
	}

	for _, flag := range []string{"--quiet", "--progress=none"} {
		if r := w.run(t, "copy", flag, "oci:layout:single", "oci:none:x"); r.stderr != "" {
			t.Errorf("%s: standard error is %q", flag, r.stderr)
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	w := newWorld(t)
	for _, args := range [][]string{{"version"}, {"inspect", "oci:layout:latest"}, {"copy", "-q", "oci:layout:single", "oci:out:x"}, {"completion", "bash"}, {"--help"}, {"--version"}, {"help", "copy"}, {}} {
		cmd := w.command(t, args...)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = full, &stderr
		if err := cmd.Run(); err == nil || !matches("dhow: …no space left on device\n", stderr.String()) {
			t.Errorf("%v: %v, %q", args, err, stderr.String())
		}
	}
}

// The logger goes to the transports too.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]bool{"warn": false, "info": true} {
		w := newWorld(t)
		dead := filepath.Join(w.dir, "out", ".dhow-ingest", "dead")
		if err := os.MkdirAll(dead, 0o755); err != nil {
			t.Fatal(err)
		}
		r := w.run(t, "--log-level", level, "copy", "-q", "oci:layout:single", "oci:out:x")
		if told := strings.Contains(r.stderr, `msg="removed files of a killed process"`); r.code != 0 || told != want {
			t.Errorf("%s: got %+v", level, r)
		}
	}
}
