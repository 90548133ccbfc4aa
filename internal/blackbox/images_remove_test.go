package blackbox_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

func TestTag(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--all")
	index, arm64 := d.index.Digest.String(), d.arch["arm64"].Digest.String()
	for _, step := range []struct {
		args string
		out  []string
		errs []string
	}{
		{"app:1 app other:2", []string{"app:latest " + index + "\n", "other:2 " + index + "\n"}, nil},
		{d.index.Digest.Encoded()[:8] + " example.com/team/app:3", []string{"example.com/team/app:3 " + index + "\n"}, nil},
		{arm64 + " arm:1", []string{"arm:1 " + arm64 + "\n"}, nil},
		{"app:1 arm:1", []string{"arm:1 " + index + "\n"}, []string{"note: what arm:1 was before, " + arm64 + ", has no name any more\n"}},
	} {
		wantOutcome(t, "tag "+step.args, d.dhow(t, append([]string{"tag"}, strings.Fields(step.args)...)...), 0, step.out, step.errs)
	}
	out := d.must(t, "tag", "--json", "app:1", "json:1")
	var report []map[string]any
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report) != 1 || report[0]["name"] != "json:1" || report[0]["digest"] != index {
		t.Errorf("%v, %s", err, out)
	}
	for args, code := range map[string]int{"nope x": 2, "app:1 sha256:1": 1, "app:1 A": 1, "app:1 x@" + index: 1, "app:1": 1} {
		if r := d.dhow(t, append([]string{"tag"}, strings.Fields(args)...)...); r.code != code || r.out != "" || r.errors == "" {
			t.Errorf("tag %s: %+v, want exit code %d", args, r, code)
		}
	}
	wantOutcome(t, "a bad name after a good one", d.dhow(t, "tag", "app:1", "good:1", "bad!name"), 1, nil, []string{`dhow: tag "app:1" as "bad!name": `})
	wantOutcome(t, "which then is none", d.dhow(t, "history", "good:1"), 2, nil, []string{"No such image: good:1"})
}

// Each argument is tried; what was removed is told in order, and the first failure by the
// exit code.
func TestRemoveImages(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--all")
	index := d.index.Digest.String()
	d.must(t, "tag", "app:1", "app:2", "other:1", "last:1")
	wantOutcome(t, "some", d.dhow(t, "rmi", "app:1", "nope", "other:1"), 2,
		[]string{"Untagged: app:1\nUntagged: other:1\n"}, []string{"No such image: nope:latest"})
	wantOutcome(t, "several repositories", d.dhow(t, "rmi", index), 1, nil, []string{"conflict: unable to delete " + d.index.Digest.Encoded()[:12] + " (must be forced) - image is referenced in multiple repositories"})
	wantOutcome(t, "what is not there, forced", d.dhow(t, "rmi", "-f", "nope"), 0, nil, []string{"warning: ", "No such image: nope:latest"})
	wantOutcome(t, "forced", d.dhow(t, "rmi", "--force", index), 0, []string{"Untagged: app:2\nUntagged: last:1\nDeleted: " + index + "\nfreed ", "B\n"}, nil)
	if info := d.info(t); info.Blobs.Count != 0 || *info.Names != 0 {
		t.Errorf("left: %+v", info)
	}
}

// A platform goes, and what others need stays.
func TestRemovePlatform(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--all")
	amd64 := d.arch["amd64"].Digest.String()
	wantOutcome(t, "not forced", d.dhow(t, "rmi", "--platform", "linux/amd64", "app:1"), 1, nil, []string{"Use --force to force delete"})
	d.must(t, "tag", amd64, "amd:1")
	wantOutcome(t, "needed", d.dhow(t, "rmi", "-f", "--platform", "linux/amd64", "app:1"), 1, nil, []string{"conflict: ", "amd:1"})
	wantOutcome(t, "by its ID", d.dhow(t, "rmi", amd64), 0, []string{"Untagged: amd:1\n"}, []string{"warning: " + amd64 + " stays: it is a part of app:1\n"})
	wantOutcome(t, "not there", d.dhow(t, "rmi", "-f", "--platform", "linux/mips", "app:1"), 2, nil, []string{"failed to delete platform linux/mips for image app:1"})
	out := d.must(t, "rmi", "--json", "-f", "--platform", "linux/amd64", "app:1")
	var report struct {
		Removals  []map[string]string
		Reclaimed int64
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Removals) != 2 || report.Removals[0]["deleted"] != amd64 || report.Reclaimed < 1000 {
		t.Errorf("%v, %s", err, out)
	}
	d.moved()
	d.pull(t, "app:1", "--platform", "linux/amd64")
	others := d.blobsOf(t, "arm64", "s390x")
	want := slices.DeleteFunc(d.blobsOf(t, "amd64"), func(b digest.Digest) bool { return slices.Contains(others, b) })
	if diff := cmp.Diff(want, d.moved()); diff != "" {
		t.Errorf("the platform came back: - wanted + moved:\n%s", diff)
	}
	wantOutcome(t, "fsck", d.dhow(t, "fsck"), 0, []string{"nothing is wrong"}, nil)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--platform", "linux/arm64")
	arm64 := d.arch["arm64"].Digest.String()
	d.must(t, "tag", arm64, "arm:1")
	d.must(t, "tag", "app:1", "arm:1") // arm64 dangles
	wantOutcome(t, "no terminal", d.dhow(t, "prune"), 1, nil, []string{"--force goes on without being asked: standard input is no terminal"})
	if r := d.dhow(t, "prune", "--force", "--filter", "label!=maker"); r.code != 0 || r.out != "freed 0 B\n" {
		t.Errorf("a label that it has: %+v", r)
	}
	wantOutcome(t, "dangling", d.dhow(t, "prune", "--force", "--filter", "label=maker=testimage", "--filter", "dangling=true"), 0, []string{"Untagged: " + arm64 + "\n", "freed 0 B\n"}, nil) // app:1 needs it
	wantOutcome(t, "none", d.dhow(t, "prune", "-f"), 0, []string{"freed 0 B\n"}, nil)
	wantOutcome(t, "a label that none has", d.dhow(t, "prune", "-f", "-a", "--filter", "label=x=y"), 0, []string{"freed 0 B\n"}, nil)
	wantOutcome(t, "all", d.dhow(t, "prune", "-f", "--filter", "dangling=false", "--filter", "until=24h"), 0, []string{"Untagged: app:1\nUntagged: arm:1\nDeleted: ", "freed "}, nil)
	for filter, says := range map[string]string{
		"until": `invalid filter "until": it is not KEY=VALUE`, "until=x": `invalid filter until="x": `, "dangling=maybe": `invalid filter dangling="maybe": `,
		"name=x": `unknown key "name" (there are: dangling, label, label!, until)`,
	} {
		wantOutcome(t, filter, d.dhow(t, "prune", "-f", "--filter", filter), 1, nil, []string{"--filter: ", says})
	}
}
