package copy_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// mustCopy copies and fails the test on an error.
func mustCopy(t *testing.T, dst transport.Destination, src transport.Source, opts copy.Options) *copy.Receipt {
	t.Helper()
	rec, err := copy.Image(t.Context(), dst, src, opts)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// actions counts the lines of a receipt by action.
func actions(r *copy.Receipt) map[copy.Action]int {
	m := map[copy.Action]int{}
	for _, e := range r.Entries {
		m[e.Action]++
	}
	return m
}

func TestCopyOfEverything(t *testing.T) {
	t.Parallel()
	src := newSample().attach()
	var dst place
	rec := mustCopy(t, &dst, src, copy.Options{})

	if got, want := dst.Digests(), src.Digests(); !slices.Equal(got, want) {
		t.Errorf("%d blobs at the destination, %d at the source", len(got), len(want))
	}
	if dst.root.Digest != src.root.Digest {
		t.Errorf("root %s, want %s", dst.root.Digest, src.root.Digest)
	}
	if len(dst.puts) != len(src.Digests()) {
		t.Errorf("%d puts of %d blobs", len(dst.puts), len(src.Digests()))
	}
	if got := actions(rec); got[copy.Copied] != len(src.Digests()) || len(got) != 1 {
		t.Errorf("the receipt says %v", got)
	}
	if d := dst.referrers[src.root.Digest]; len(d) != 1 || d[0].Digest != src.sbom.Digest {
		t.Errorf("referrers of the list: %v", d)
	}
	if dst.names[src.tag].Digest != src.names[src.tag].Digest || dst.names[src.instanceTag].Digest == "" {
		t.Errorf("names: %v", dst.names)
	}
	if len(dst.commits) != 1 || dst.commits[0][0].Desc.Digest != src.root.Digest {
		t.Errorf("commits: %+v", dst.commits)
	}
}

func TestSecondCopyDoesNothing(t *testing.T) {
	t.Parallel()
	src := newSample().attach()
	var dst place
	mustCopy(t, &dst, src, copy.Options{})
	dst.puts = nil
	rec := mustCopy(t, &dst, src, copy.Options{})
	if len(dst.puts) != 0 {
		t.Errorf("%d puts", len(dst.puts))
	}
	if got := actions(rec); got[copy.Reused] != len(src.Digests()) || len(got) != 1 {
		t.Errorf("the receipt says %v", got)
	}
}

// TestCompleteDestinationIsAskedOncePerRoot shows that a destination that answers
// for all below a root is not asked about what is below.
func TestCompleteDestinationIsAskedOncePerRoot(t *testing.T) {
	t.Parallel()
	src := newSample().attach()
	dst := place{complete: map[digest.Digest]bool{
		src.root.Digest: true, src.sbom.Digest: true, src.instanceSBOM.Digest: true,
		src.names[src.tag].Digest: true, src.names[src.instanceTag].Digest: true,
	}}
	rec := mustCopy(t, &dst, src, copy.Options{})
	if dst.asked != 5 || len(dst.puts) != 0 {
		t.Errorf("asked %d times, %d puts; want 5 and 0", dst.asked, len(dst.puts))
	}
	if got := actions(rec); got[copy.Reused] != len(src.Digests()) {
		t.Errorf("the receipt says %v", got)
	}
}

// TestNothingToDo shows that a complete destination costs one question at each side
// where nothing is attached.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	src := newSample()
	dst := place{complete: map[digest.Digest]bool{src.root.Digest: true}}
	rec := mustCopy(t, &dst, unsigned{src}, copy.Options{NoReferrers: true, NoDigestTags: true})
	if len(src.opened) > 0 || len(dst.puts) > 0 {
		t.Errorf("%d documents read, %d nodes put", len(src.opened), len(dst.puts))
	}
	if rec.Root.Digest != src.root.Digest || actions(rec)[copy.Reused] != 1 {
		t.Errorf("receipt %+v", rec)
	}
	dst.accepts.Pinned = digest.FromString("another")
	if _, err := copy.Image(t.Context(), &dst, unsigned{src}, copy.Options{NoReferrers: true, NoDigestTags: true}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("pinned to another digest: %v", err)
	}
}

// unsigned hides that a source could have simple signatures.
type unsigned struct{ transport.Source }

func TestEveryBlobIsReadOnce(t *testing.T) {
	t.Parallel()
	src := newSample()
	src.root = src.Index(src.root, src.Index(src.amd64, src.arm64), src.amd64)
	mustCopy(t, plain{&place{}}, src, copy.Options{})
	slices.Sort(src.opened)
	for i, d := range src.opened[1:] {
		if d == src.opened[i] {
			t.Errorf("%s was opened twice", d)
		}
	}
}

func TestParentAndPlaceOfEveryNode(t *testing.T) {
	t.Parallel()
	src := newSample()
	var dst place
	mustCopy(t, &dst, src, copy.Options{})
	for _, n := range dst.puts {
		if n.Desc.Digest == src.root.Digest {
			if n.Parent != "" {
				t.Errorf("the root has the parent %s", n.Parent)
			}
			continue
		}
		doc, err := image.Decode(src.Get(n.Parent), image.Declared{}, image.Limits{})
		if err != nil {
			t.Fatalf("parent %q of %s: %v", n.Parent, n.Desc.Digest, err)
		}
		if !slices.ContainsFunc(doc.Edges(), func(e image.Edge) bool {
			return e.Desc.Digest == n.Desc.Digest && e.Role == n.Role && e.Index == n.Index
		}) {
			t.Errorf("%s %s is not number %d of %s", n.Role, n.Desc.Digest, n.Index, n.Parent)
		}
	}
}

func TestFailuresMoveNoName(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := []struct {
		name string
		src  func(*sample)
		fail func(*sample) func(transport.Node) error
		kind error
		text func(*sample) string
	}{
		{
			name: "a layer that is missing", kind: errdefs.ErrUnavailable,
			src: func(s *sample) { s.Delete(s.layer(s.arm64)) },
			text: func(s *sample) string {
				return "layer " + s.layer(s.arm64).String() + " (0 of " + s.arm64.Digest.String()
			},
		},
		{
			name: "a layer with other bytes", kind: errdefs.ErrDataLoss,
			src:  func(s *sample) { s.Set(s.layer(s.arm64), []byte("other")) },
			text: func(*sample) string { return "for linux/arm64/v8" },
		},
		{
			name: "a destination that fails", kind: boom,
			fail: func(s *sample) func(transport.Node) error {
				return func(n transport.Node) error {
					if n.Desc.Digest == s.armv7.Digest {
						return boom
					}
					return nil
				}
			},
			text: func(s *sample) string { return "manifest " + s.armv7.Digest.String() },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			src := newSample().attach()
			if tt.src != nil {
				tt.src(src)
			}
			var dst place
			if tt.fail != nil {
				dst.fail = tt.fail(src)
			}
			rec, err := copy.Image(t.Context(), &dst, src, copy.Options{})
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text(src)) {
				t.Errorf("error %v; want %v with %q", err, tt.kind, tt.text(src))
			}
			if errdefs.IsNotFound(err) {
				t.Error("the error says that there is no such image")
			}
			if len(dst.commits) != 0 || dst.Get(src.root.Digest) != nil {
				t.Error("the root is visible")
			}
			if rec == nil {
				t.Error("no receipt of what was moved")
			}
		})
	}
}

// layer is the digest of the first layer of an image.
func (s *sample) layer(of ocispec.Descriptor) digest.Digest {
	doc, err := image.Decode(s.Get(of.Digest), image.Declared{}, image.Limits{})
	if err != nil {
		panic(err) // the sample is made by the test
	}
	return doc.(*image.Manifest).Layers()[0].Digest
}

func TestForeignLayersMayBeMissing(t *testing.T) {
	t.Parallel()
	var src place
	im := src.Image(testimage.Image{Platform: linux("amd64", "")})
	var m ocispec.Manifest
	if err := json.Unmarshal(src.Get(im.Digest), &m); err != nil {
		t.Fatal(err)
	}
	foreign := ocispec.Descriptor{
		MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Digest: digest.FromString("gone"), Size: 4,
		URLs: []string{"https://example.com/layer"},
	}
	m.Layers = append(m.Layers, foreign)
	src.root = src.JSON(ocispec.MediaTypeImageManifest, m)

	dst := &lenient{}
	rec := mustCopy(t, dst, &src, copy.Options{})
	i := slices.IndexFunc(rec.Entries, func(e copy.Entry) bool { return e.Digest == foreign.Digest })
	if i < 0 || rec.Entries[i].Action != copy.Skipped || !strings.Contains(rec.Entries[i].Reason, "nondistributable") {
		t.Errorf("receipt %+v", rec.Entries)
	}
	if dst.root.Digest != src.root.Digest {
		t.Error("the image was not copied")
	}
}

// lenient takes manifests whose children are not there.
type lenient struct{ place }

func (p *lenient) Put(ctx context.Context, n transport.Node, open transport.Opener) (transport.Outcome, error) {
	r, err := open(ctx, 0)
	if err != nil {
		return transport.Outcome{}, err
	}
	data, err := io.ReadAll(r)
	p.Set(n.Desc.Digest, data)
	return transport.Outcome{Action: transport.Copied}, err
}

// promptly is within how long a call has to return when its context has ended: 100 ms, and
// what a loaded machine adds. What is waited for does not end by itself.
const promptly = 100*time.Millisecond + 2*time.Second

// TestCancelled shows that a copy whose source does not answer ends within 100 ms
// of being cancelled.
func TestCancelled(t *testing.T) {
	t.Parallel()
	src := &stalled{sample: newSample(), reached: make(chan struct{})}
	src.stall = src.layer(src.arm64)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	var dst place
	go func() {
		_, err := copy.Image(ctx, &dst, src, copy.Options{})
		done <- err
	}()
	<-src.reached
	begin := time.Now()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if took := time.Since(begin); took > promptly {
		t.Errorf("it took %v to obey", took)
	}
	if len(dst.commits) != 0 {
		t.Error("names have moved")
	}
}

// stalled is a source that does not answer for one blob until it is cancelled.
type stalled struct {
	*sample
	stall   digest.Digest
	once    sync.Once
	reached chan struct{}
}

func (s *stalled) Open(ctx context.Context, d ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	if d.Digest != s.stall {
		return s.sample.Open(ctx, d, from)
	}
	s.once.Do(func() { close(s.reached) })
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestEvents(t *testing.T) {
	t.Parallel()
	src := newSample().attach()
	var events []copy.Event
	mustCopy(t, &place{}, src, copy.Options{Events: func(e copy.Event) {
		time.Sleep(time.Millisecond) // a slow listener must not lose any
		events = append(events, e)
	}})
	count := map[copy.EventKind]int{}
	last := copy.Event{}
	for _, e := range events {
		count[e.Kind]++
		if e.Kind != copy.EventAdvanced && (e.Done < last.Done || e.Finished < last.Finished) {
			t.Errorf("%+v after %+v", e, last)
		}
		last = e
	}
	nodes := len(src.Digests())
	if count[copy.EventPlanned] != 1 || count[copy.EventStarted] != nodes || count[copy.EventFinished] != nodes || count[copy.EventCommitted] != 1 {
		t.Errorf("events %v for %d nodes", count, nodes)
	}
	if events[0].Kind != copy.EventPlanned || last.Kind != copy.EventCommitted || last.Done != last.Total || last.Finished != last.Count {
		t.Errorf("first %+v, last %+v", events[0], last)
	}
}

func TestSignaturesGoAlong(t *testing.T) {
	t.Parallel()
	src := newSample()
	src.sigs = map[digest.Digest][]transport.Signature{src.root.Digest: {[]byte("of the list")}, src.arm64.Digest: {[]byte("a"), []byte("b")}}
	var dst place
	rec := mustCopy(t, &dst, src, copy.Options{})
	if len(dst.sigs[src.root.Digest]) != 1 || len(dst.sigs[src.arm64.Digest]) != 2 {
		t.Errorf("signatures %v", dst.sigs)
	}
	var lines int
	for _, e := range rec.Entries {
		if e.Role == "signature" && e.Action == copy.Copied {
			lines++
		}
	}
	if lines != 3 {
		t.Errorf("%d signatures in the receipt, want 3", lines)
	}

	removed := place{}
	rec = mustCopy(t, &removed, src, copy.Options{RemoveSignatures: true})
	if len(removed.sigs) != 0 || actions(rec)[copy.Skipped] != 3 {
		t.Errorf("signatures %v, receipt %v", removed.sigs, actions(rec))
	}
}

func TestStrayReferrersStayBehind(t *testing.T) {
	t.Parallel()
	src := newSample()
	elsewhere := src.Referrer(src.Store.Put("text/x", []byte("x")), "application/spdx+json", "of something else")
	gone := src.Referrer(src.root, "application/spdx+json", "gone")
	src.Delete(gone.Digest)
	src.referrers = map[digest.Digest][]ocispec.Descriptor{src.root.Digest: {elsewhere, src.Image(testimage.Image{Platform: linux("amd64", ""), Name: "another"}), src.Store.Put("text/plain", []byte("no manifest")), gone}}
	other := src.CosignPayloadOf(digest.FromString("another image"))
	src.names = map[string]ocispec.Descriptor{
		"sha256-" + src.root.Digest.Encoded() + ".sig": other,
		"sha256-zz.sig": other,
	}
	rec := mustCopy(t, &place{}, src, copy.Options{})
	reasons := map[string]int{}
	for _, e := range rec.Entries {
		if e.Subject == src.root.Digest {
			reasons[string(e.Action)+": "+strings.SplitN(e.Reason, "sha256:", 2)[0]]++
		}
	}
	for _, want := range []string{
		"skipped: listed as a referrer, but its subject is ",
		"skipped: listed as a referrer, but it names no subject",
		`skipped: listed as a referrer, but its media type "text/plain" is not that of a manifest`,
		"missing: listed as a referrer, but: reading manifest ",
	} {
		if reasons[want] != 1 {
			t.Errorf("no line %q in %v", want, reasons)
		}
	}
	if i := slices.IndexFunc(rec.Entries, func(e copy.Entry) bool { return strings.Contains(e.Reason, "its payload") }); i < 0 {
		t.Errorf("the tag whose payload is about another image was carried: %v", reasons)
	}
}
