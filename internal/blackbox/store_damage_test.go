package blackbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
)

// repairHint names the command that helps a store that is damaged.
const repairHint = "dhow fsck --repair"

// TestDegradedStore: a store whose records are damaged says so and can be read, and is
// repaired without loss.
func TestDegradedStore(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		damage  func(dir string) error
		problem string
	}{
		"half of it":         {func(dir string) error { return os.Truncate(filepath.Join(dir, "catalog.db"), 20_000) }, "database "},
		"no database":        {func(dir string) error { return os.Remove(filepath.Join(dir, "catalog.db")) }, "database "},
		"no journal":         {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "journal")) }, "journal "},
		"no format":          {func(dir string) error { return os.Remove(filepath.Join(dir, "format")) }, "format "},
		"no database at all": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "catalog.db"), []byte("x"), 0o600) }, "database "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLocal(t)
			want, told := l.answers(t), l.info(t)
			if err := tc.damage(l.dir); err != nil {
				t.Fatal(err)
			}
			r := l.dhow(t, "store", "info")
			wantOutcome(t, "store info", r, 0, []string{"degraded", repairHint}, []string{"level=ERROR", repairHint, l.dir})
			if strings.Count(r.errors, "\n") != 1 {
				t.Errorf("it is told more than once:\n%s", r.errors)
			}
			wantOutcome(t, "gc", l.dhow(t, "gc"), 1, nil, []string{"dhow: ", l.dir, repairHint, "failed precondition"})
			wantOutcome(t, "fsck", l.dhow(t, "fsck"), 1, []string{tc.problem, ": checked "}, []string{"dhow: ", repairHint})
			wantOutcome(t, "fsck --repair", l.dhow(t, "fsck", "--repair"), 0, []string{tc.problem, "anew", " repaired, 0 lost\n"}, []string{repairHint})
			wantOutcome(t, "fsck after that", l.dhow(t, "fsck"), 0, []string{": nothing is wrong\n"}, nil)
			if diff := cmp.Diff(want, l.answers(t)); diff != "" {
				t.Errorf("the answers are not those from before, - wanted + got:\n%s", diff)
			}
			healed := l.info(t)
			told.Free, healed.Free = nil, nil
			if diff := cmp.Diff(told, healed); diff != "" || healed.State != store.Clean {
				t.Errorf("store info, - wanted + got:\n%s", diff)
			}
			wantOutcome(t, "gc after that", l.dhow(t, "gc"), 0, []string{"freed 3 blobs"}, nil)
		})
	}
}

// TestDamagedBlob: damage of a blob is found, told with the names that lack it, set aside
// by a repair, and healed when the same image is written again.
func TestDamagedBlob(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		damage func(path string) error
		code   int // of fsck
	}{
		"other bytes": {func(path string) error {
			data, err := os.ReadFile(path)
			if err == nil {
				data[len(data)/2] ^= 1
				err = os.WriteFile(path, data, 0o600)
			}
			return err
		}, 3},
		"fewer bytes":     {func(path string) error { return os.Truncate(path, 1000) }, 3},
		"no file":         {os.Remove, 1},
		"a link for one":  {func(path string) error { return replace(path, func() error { return os.Symlink("/etc/passwd", path) }) }, 3},
		"a directory too": {func(path string) error { return replace(path, func() error { return os.Mkdir(path, 0o700) }) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLocal(t)
			want := l.answers(t)
			if err := tc.damage(l.file()); err != nil {
				t.Fatal(err)
			}
			d := l.large.Digest.String()
			lacks := []string{localName + " lacks " + d + "\n", localOther + " lacks " + d + "\n"}
			wantOutcome(t, "fsck", l.dhow(t, "fsck"), tc.code, append([]string{"blob ", d}, lacks...), []string{"dhow: ", l.dir, repairHint})
			var aside []string
			if name != "no file" {
				aside = []string{"level=WARN", d, "bad/"}
			}
			missing := []string{"dhow: 1 blob missing in the store ", l.dir, "until the same content is written again"}
			wantOutcome(t, "fsck --repair", l.dhow(t, "fsck", "--repair"), 1,
				append(append([]string{"blob ", d, "lost "}, lacks...), "1 finding, 1 repaired, 1 lost\n"), append(aside, missing...))
			wantOutcome(t, "fsck after that", l.dhow(t, "fsck", "--json"), 1, []string{`"sound": false`, d, `"repaired": false`, localName}, []string{"dhow: 1 finding in the store "})
			if got := l.answers(t); got[d] != "not there" || got[localName] == "" {
				t.Errorf("the answers are %q", got)
			}
			s := l.open(t)
			l.write(t, s, map[string]ocispec.Descriptor{localName: l.index})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			wantOutcome(t, "fsck when it was written again", l.dhow(t, "fsck", "--json"), 0, []string{`"sound": true`, `"findings": []`, `"lacking": []`}, nil)
			healed := l.answers(t)
			healed[localName] = want[localName] // it has moved since
			if diff := cmp.Diff(want, healed); diff != "" {
				t.Errorf("the answers are not those from before, - wanted + got:\n%s", diff)
			}
		})
	}
}

// replace removes a file and has something else made.
func replace(path string, another func() error) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return another()
}

// TestQuickCheck reads no file.
func TestQuickCheck(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	data, err := os.ReadFile(l.file())
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	if err := os.WriteFile(l.file(), data, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, "fsck --quick", l.dhow(t, "fsck", "--quick"), 0, []string{": nothing is wrong\n"}, nil)
	if err := os.Truncate(l.file(), 7); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, "fsck --quick of a short file", l.dhow(t, "fsck", "--quick"), 1, []string{"blob ", l.large.Digest.String()}, []string{"dhow: "})
}

// TestLostRecords: where database and journal are lost both, what is left is kept, and what
// is no store's is set aside.
func TestLostRecords(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	for _, err := range []error{
		os.Remove(filepath.Join(l.dir, "catalog.db")), os.RemoveAll(filepath.Join(l.dir, "journal")),
		os.Mkdir(filepath.Join(l.dir, "blobs/strange"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wantOutcome(t, "fsck", l.dhow(t, "fsck"), 1, []string{"6 findings\n"}, []string{"6 findings in the store", repairHint})
	r := l.dhow(t, "fsck", "--repair")
	wantOutcome(t, "fsck --repair", r, 0, []string{"names may be lost", l.large.Digest.String(), "known again", "held by leases", "6 findings, 6 repaired, 1 lost\n"}, []string{repairHint})
	wantOutcome(t, "fsck --repair", r, 0, []string{"blobs/strange", "set aside"}, []string{"bad/strange.1"})
	wantOutcome(t, "fsck after that", l.dhow(t, "fsck"), 0, []string{"3 blobs without records", ": nothing is wrong\n"}, nil)
	wantOutcome(t, "gc", l.dhow(t, "gc"), 0, []string{"freed 0 blobs"}, nil)
	if got := l.answers(t); got[l.large.Digest.String()] != "right" {
		t.Errorf("the answers are %q", got)
	}
}
