package service_test

import (
	"bytes"
	"io"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/service"
)

// told are events, which must be those of one copy.
type told []copy.Event

func (all *told) add(e copy.Event) { *all = append(*all, e) }

// want checks that they are those of a copy of so many descriptors; 0: of one that has failed.
func (all told) want(t *testing.T, what string, count int) {
	t.Helper()
	var last copy.Event
	planned, ends := 0, 0
	for i, e := range all {
		switch e.Kind {
		case copy.EventPlanned:
			planned++
		case copy.EventCommitted:
			if ends++; i != len(all)-1 {
				t.Errorf("%s: committed is not the last event", what)
			}
		}
		if e.Total < last.Total || e.Count < last.Count || e.Finished < last.Finished {
			t.Errorf("%s: the totals fall from %+v to %+v", what, last, e)
		}
		last = e
	}
	if planned != 1 || ends != min(count, 1) {
		t.Errorf("%s: planned %d times, committed %d times", what, planned, ends)
	}
	if count > 0 && (last.Count != count || last.Finished != count || last.Done != last.Total) {
		t.Errorf("%s: at the end %+v; want %d descriptors", what, last, count)
	}
}

// TestProgressOfSeveral checks that what is told of several images that are saved and loaded is
// told as if they were one: nothing is committed before all are there.
func TestProgressOfSeveral(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	names := []string{"one", "two", "three"}
	var last ocispec.Descriptor
	for _, name := range names {
		last = f.image(t, "linux/amd64", name)
		f.put(t, last, name)
	}
	var saved told
	data, done := f.save(t, service.SaveOptions{Events: saved.add}, names...)
	count := 0
	for _, im := range done.Images {
		count += len(im.Receipt.Entries)
	}
	saved.want(t, "save", count)

	var failed told
	if _, err := f.Save(t.Context(), failingWriter{}, names, service.SaveOptions{Events: failed.add}); err == nil {
		t.Error("a save that cannot be written succeeds")
	}
	failed.want(t, "save that fails", 0)

	var loaded told
	to := newFixture(t, service.Options{})
	if _, err := to.Load(t.Context(), bytes.NewReader(data), service.LoadOptions{Events: loaded.add}); err != nil {
		t.Fatal(err)
	}
	loaded.want(t, "load", count)

	broken := bytes.Clone(data)
	layers := f.children(t, last)
	at := bytes.Index(broken, f.src.Get(layers[len(layers)-1].Digest))
	broken[at] ^= 1
	var half told
	if _, err := newFixture(t, service.Options{}).Load(t.Context(), bytes.NewReader(broken), service.LoadOptions{Events: half.add}); err == nil {
		t.Error("a broken archive is loaded")
	}
	half.want(t, "load of a broken archive", 0)
}

// failingWriter takes the beginning.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
