package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// answers are what a store says, one line for each thing that it is asked. Wrong bytes
// fail the test; an error is an answer.
func answers(tb testing.TB, s *embedded.Store, src *source) map[string]string {
	tb.Helper()
	ctx := context.Background()
	all := map[string]string{}
	for _, d := range src.Digests() {
		all["bytes of "+d.String()] = read(tb, s, src, d)
		all["bytes from the middle of "+d.String()] = readFrom(tb, s, src, d, int64(len(src.Get(d))/2))
		all["bytes anywhere in "+d.String()] = readAt(tb, s, src, d)
		blob, err := s.Stat(ctx, d)
		all["blob "+d.String()] = text(blob.Size, err)
		facts, err := s.Facts(ctx, d)
		all["facts of "+d.String()] = text(facts, err)
		err = s.View(ctx, func(r store.NameReader) error { askDigest(all, r, d); return nil })
		all["view "+d.String()] = kindName(err)
	}
	err := s.View(ctx, func(r store.NameReader) error { askNames(all, r); return nil })
	all["view"] = kindName(err)
	var sizes []string
	err = s.Walk(ctx, "", func(b store.Blob) error {
		sizes = append(sizes, fmt.Sprintf("%s %d", b.Digest, b.Size))
		return nil
	})
	all["blobs"] = text(sizes, err)
	leases, err := s.Leases(ctx)
	all["leases"] = text(leases, err)
	held, err := s.Held(ctx, "held")
	all["held"] = text(held, err)
	return all
}

// askDigest asks a reader about a digest.
func askDigest(all map[string]string, r store.NameReader, d digest.Digest) {
	for what, find := range map[string]func(digest.Digest) ([]store.Record, error){"target": r.Target, "containing": r.Containing} {
		records, err := find(d)
		all[what+" "+d.String()] = text(records, err)
	}
	for what, find := range map[string]func(digest.Digest) ([]digest.Digest, error){"children of": r.Children, "referrers of": r.Referrers} {
		found, err := find(d)
		all[what+" "+d.String()] = text(found, err)
	}
	found, err := r.Prefix(d.Encoded()[:7], 0)
	all["prefix "+d.String()] = text(found, err)
	blob, err := r.Blob(d)
	all["blob in a view "+d.String()] = text(blob.Size, err)
	facts, err := r.Facts(d)
	all["facts in a view "+d.String()] = text(facts, err)
	o, err := r.(store.Outliner).Outline(d)
	all["outline of "+d.String()] = kindName(err)
	if err != nil {
		return
	}
	all["records of "+d.String()] = fmt.Sprint(o.Alone())
	for documents := []digest.Digest{d}; len(documents) > 0; documents = documents[1:] {
		facts, err := o.Facts(documents[0])
		size, missing := o.Size(documents[0])
		all["below "+d.String()+": "+documents[0].String()] = text(facts, err) + text(size, missing)
		for _, e := range facts.Edges {
			documents = append(documents, e.Desc.Digest)
		}
	}
}

// askNames asks a reader for all names.
func askNames(all map[string]string, r store.NameReader) {
	records, err := r.List("", 0)
	all["names"] = text(records, err)
	for _, rec := range records {
		found, err := r.Get(rec.Key())
		all["name "+rec.Key()] = text(found, err)
		repository, _, _ := strings.Cut(rec.Name, ":")
		records, err := r.Repository(repository)
		all["repository "+repository] = text(records, err)
	}
}

// text writes an answer.
func text(v any, err error) string {
	if err != nil {
		return kindName(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// read reads a blob, which must be right or end in an error.
func read(tb testing.TB, s *embedded.Store, src *source, d digest.Digest) string {
	tb.Helper()
	return readFrom(tb, s, src, d, 0)
}

// readFrom is read from an offset on.
func readFrom(tb testing.TB, s *embedded.Store, src *source, d digest.Digest, from int64) string {
	tb.Helper()
	r, err := s.Open(context.Background(), d, from)
	if err != nil {
		return kindName(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(data, src.Get(d)[from:]) {
		tb.Errorf("%s: %d bytes that are not its own were read from byte %d on without an error", d, len(data), from)
	}
	return kindName(err)
}

// readAt is read for a reader that reads anywhere.
func readAt(tb testing.TB, s *embedded.Store, src *source, d digest.Digest) string {
	tb.Helper()
	r, err := s.OpenAt(context.Background(), d)
	if err != nil {
		return kindName(err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err == nil && !bytes.Equal(data, src.Get(d)) {
		tb.Errorf("%s: %d bytes that are not its own were read anywhere without an error", d, len(data))
	}
	return kindName(err)
}

// kindName says of what kind an error is.
func kindName(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errdefs.IsNotFound(err):
		return "not found"
	case errdefs.IsDataLoss(err):
		return "data loss"
	}
	return err.Error()
}
