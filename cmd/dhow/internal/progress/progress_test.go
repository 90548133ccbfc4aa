package progress

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
)

var update = flag.Bool("update", false, "write the golden files")

// events are those of a copy of one image of which the config is there already.
// Its platform and reason are hostile.
func events() []copy.Event {
	const total = 3<<20 + 1500
	layer := copy.Event{Digest: digest.FromString("layer"), MediaType: ocispec.MediaTypeImageLayerGzip, Role: "layer", Platform: "linux/arm64", Size: 3 << 20, Total: total, Count: 3}
	config := copy.Event{Digest: digest.FromString("config"), MediaType: ocispec.MediaTypeImageConfig, Role: "config", Platform: "linux/\x1b[31marm64", Size: 1000, Total: total, Count: 3}
	manifest := copy.Event{Digest: digest.FromString("manifest"), MediaType: ocispec.MediaTypeImageManifest, Role: "manifest", Size: 500, Total: total, Count: 3}
	as := func(e copy.Event, kind copy.EventKind, change func(*copy.Event)) copy.Event {
		e.Kind = kind
		if change != nil {
			change(&e)
		}
		return e
	}
	return []copy.Event{
		{Kind: copy.EventPlanned, Total: total, Count: 3},
		as(layer, copy.EventStarted, nil),
		as(config, copy.EventStarted, nil),
		as(config, copy.EventFinished, func(e *copy.Event) { e.Action, e.Done, e.Finished = copy.Reused, 1000, 1 }),
		as(layer, copy.EventAdvanced, func(e *copy.Event) { e.Moved, e.Done, e.Finished = 1<<20, 1000+1<<20, 1 }),
		as(layer, copy.EventFinished, func(e *copy.Event) { e.Action, e.Done, e.Finished = copy.Copied, 1000+3<<20, 2 }),
		as(manifest, copy.EventStarted, func(e *copy.Event) { e.Done, e.Finished = 1000+3<<20, 2 }),
		as(manifest, copy.EventFinished, func(e *copy.Event) {
			e.Action, e.Reason, e.Done, e.Finished = copy.Converted, "asked\nfor", total, 3
		}),
		{Kind: copy.EventCommitted, Done: total, Total: total, Finished: 3, Count: 3},
	}
}

func TestLinesGolden(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Plain, JSON} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			r := New(mode, NewOutput(&b))
			for _, e := range events() {
				r.Event(e)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", string(mode)+".golden")
			if *update {
				if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLongPlatformsAreCut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := New(Plain, NewOutput(&b))
	r.Event(copy.Event{Kind: copy.EventFinished, Digest: digest.FromString("layer"), Platform: "linux/" + strings.Repeat("x", 5000)})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(b.String(), "x… (5006 bytes)\n") || b.Len() > 300 {
		t.Errorf("got %q", b.String())
	}
}

func TestJSONLinesAreTheEvents(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := New(JSON, NewOutput(&b))
	for _, e := range events() {
		r.Event(e)
	}
	var got []copy.Event
	for line := range strings.Lines(b.String()) {
		var e copy.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(events(), got); diff != "" {
		t.Error(diff)
	}
}

func TestNoneIsSilent(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := New(None, NewOutput(&b))
	for _, e := range events() {
		r.Event(e)
	}
	if err := r.Close(); err != nil || b.Len() > 0 {
		t.Errorf("wrote %q, error %v", b.String(), err)
	}
}

// full is a writer on a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestWriteErrorsAreToldAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Plain, JSON, Bars} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			r := New(mode, NewOutput(full{}))
			for _, e := range events() {
				r.Event(e)
			}
			err := r.Close()
			if err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
				t.Errorf("error is %v", err)
			}
			if mode != Bars && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("error %v does not wrap the cause", err)
			}
		})
	}
}

func TestParseMode(t *testing.T) {
	t.Parallel()
	for _, m := range Modes() {
		if got, err := ParseMode(m); got != Mode(m) || err != nil {
			t.Errorf("ParseMode(%q) = %q, %v", m, got, err)
		}
	}
	_, err := ParseMode("fancy")
	const want = `unknown progress "fancy" (there are: auto, bars, plain, json, none): invalid argument`
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestAutoIsPlainForAFile(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := Resolve(Auto, f, "xterm"); got != Plain {
		t.Errorf("Auto is %q", got)
	}
	if got := Resolve(Bars, f, "xterm"); got != Bars {
		t.Errorf("Bars is %q", got)
	}
}
