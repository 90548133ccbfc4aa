package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/store"
)

// steps is a store.GC that does some steps and then fails, or has no more to do.
type steps struct {
	all []store.Collected
	err error
}

func (s *steps) Collect(context.Context) (store.Collected, error) {
	step := s.all[0]
	s.all = s.all[1:]
	if len(s.all) == 0 {
		return step, s.err
	}
	step.More = true
	return step, nil
}

// What was freed is told, by a collection that was stopped too.
func TestCollect(t *testing.T) {
	t.Parallel()
	all := []store.Collected{
		{Examined: 3, Blobs: 1, Bytes: 1000, Longest: 2500 * time.Microsecond},
		{Examined: 4, Blobs: 1, Bytes: 500, Leases: 1, Partial: 2, Longest: time.Millisecond},
	}
	for name, tc := range map[string]struct {
		err  error
		text string
	}{
		"to its end": {nil, "freed 2 blobs, 1.5 kB; ended 1 lease; gave up 2 partial blobs\n"},
		"stopped":    {context.Canceled, "freed 2 blobs, 1.5 kB; ended 1 lease; gave up 2 partial blobs\n"},
	} {
		var out bytes.Buffer
		a := newApp(strings.NewReader(""), &out, os.Stderr, "dumb")
		if err := a.collect(t.Context(), &steps{all, tc.err}, outputFlags{quiet: true}); !errors.Is(err, tc.err) || out.String() != tc.text {
			t.Errorf("%s: %v, %q", name, err, out.String())
		}
		out.Reset()
		if err := a.collect(t.Context(), &steps{all, tc.err}, outputFlags{json: true}); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v", name, err)
		}
		var got collectedReport
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := collectedReport{Complete: tc.err == nil, Blobs: 2, Bytes: 1500, Leases: 1, Partial: 2, Examined: 7, LongestWait: 2.5}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: - wanted + got:\n%s", name, diff)
		}
	}
}
