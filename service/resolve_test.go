package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// resolveRow is what a reference means: the record, by what it was found and what it
// means below it (empty: the target), and what the warnings say; or an error. {B} and the
// like are digests: see resolveWorld.
type resolveRow struct {
	ref, record string
	matched     service.Matched
	digest      string
	warning     string // empty: there is none
	short       bool
	err         error
	text        []string // in the error
}

func found(ref, record string, matched service.Matched, digest string) resolveRow {
	return resolveRow{ref: ref, record: record, matched: matched, digest: digest}
}

func (r resolveRow) warns(text string) resolveRow {
	r.warning = text
	return r
}

func none(ref, text string) resolveRow {
	return resolveRow{ref: ref, err: errdefs.ErrNotFound, text: []string{"No such image: " + text + ": not found"}}
}

func refused(ref, text string) resolveRow {
	return resolveRow{ref: ref, err: errdefs.ErrInvalidArgument, text: []string{text}}
}

func ambiguous(ref, text string) resolveRow {
	return resolveRow{ref: ref, err: errdefs.ErrNotFound, text: []string{"ambiguous reference", text}}
}

const inTwo = "{B.amd} is in 2 images: busybox:1.36, zz/other:1"

// resolveTable has what references mean.
func resolveTable() map[string]resolveRow {
	zeros, hex128 := strings.Repeat("0", 64), strings.Repeat("0", 128)
	return map[string]resolveRow{
		// Names.
		"latest is added":                found("busybox", "busybox:latest", service.ByName, "{B}"),
		"a tag":                          found("busybox:1.36", "busybox:1.36", service.ByName, "{B}"),
		"latest is said":                 found("busybox:latest", "busybox:latest", service.ByName, "{B}"),
		"with library":                   found("library/busybox:1.36", "busybox:1.36", service.ByName, "{B}"),
		"in full":                        found("docker.io/library/busybox:1.36", "busybox:1.36", service.ByName, "{B}"),
		"the old host of the hub":        found("index.docker.io/library/busybox", "busybox:latest", service.ByName, "{B}"),
		"of another host":                found("example.com/mirror/busybox:1.36", "example.com/mirror/busybox:1.36", service.ByName, "{B}"),
		"a host in upper case":           found("EXAMPLE.com/mirror/busybox:1.36", "example.com/mirror/busybox:1.36", service.ByName, "{B}"),
		"a host with a port":             found("localhost:5000/team/alpine:3.20", "localhost:5000/team/alpine:3.20", service.ByName, "{A}"),
		"a tag that was moved":           found("debian:12", "debian:12", service.ByName, "{D}"),
		"a tag of another algorithm":     found("long:512", "long:512", service.ByName, "{L}"),
		"hex that is too long for an ID": found(strings.Repeat("ab", 40), strings.Repeat("ab", 40)+":latest", service.ByName, "{E}"),
		"no such tag":                    none("busybox:1.37", "busybox:1.37"),
		"no such tag, latest":            none("alpine", "alpine:latest"),
		"no such repository":             none("nobody/nothing:1", "nobody/nothing:1"),
		"no such host":                   none("example.org/busybox:1.36", "example.org/busybox:1.36"),
		"the tag has another case":       none("busybox:LATEST", "busybox:LATEST"),
		"a repository is no name":        none("mirror/busybox", "mirror/busybox:latest"),
		"the name is a part of one":      none("busybo", "busybo:latest"),
		// Digests of targets.
		"the ID of a list":                         found("{B}", "busybox:1.36", service.ByTarget, "{B}"),
		"the ID without algorithm":                 found("{B#}", "busybox:1.36", service.ByTarget, "{B}"),
		"the ID of a manifest":                     found("{A}", "alpine:3.20", service.ByTarget, "{A}"),
		"the ID of a dangling record":              found("{O}", "@{O}", service.ByTarget, "{O}"),
		"a dangling ID without algorithm":          found("{O#}", "@{O}", service.ByTarget, "{O}"),
		"an ID by sha512":                          found("{L}", "long:512", service.ByTarget, "{L}"),
		"a target that is named by a hostile list": found("{H}", "hostile:1", service.ByTarget, "{H}"),
		"no such ID":                               none("sha256:"+zeros, "sha256:"+zeros),
		"no such ID without algorithm":             none(zeros, "sha256:"+zeros),
		"no such ID by sha384":                     none("sha384:"+hex128[:96], "sha384:"+hex128[:96]),
		"no such ID by sha512":                     none("sha512:"+hex128, "sha512:"+hex128),
		"the hex of sha512 by sha256":              none("sha256:{L:64}", "sha256:{L:64}"),
		"an ID by an algorithm that is none":       {ref: "x@md5:" + zeros[:32], err: errdefs.ErrNotImplemented, text: []string{"md5"}},
		"an ID alone by an algorithm that is none": none("md5:"+zeros[:32], "md5:"+zeros[:32]),
		// Digests below targets.
		"a manifest in one list":         found("{B.arm}", "busybox:1.36", service.ByManifest, "{B.arm}"),
		"a manifest without algorithm":   found("{B.arm#}", "busybox:1.36", service.ByManifest, "{B.arm}"),
		"a manifest in two lists":        found("{B.amd}", "busybox:1.36", service.ByManifest, "{B.amd}").warns(inTwo),
		"a config in two lists":          found("{B.amd.config}", "busybox:1.36", service.ByConfig, "{B.amd.config}").warns("is in 2 images"),
		"a config of a manifest":         found("{A.config}", "alpine:3.20", service.ByConfig, "{A.config}"),
		"a config of a dangling record":  found("{O.config}", "@{O}", service.ByConfig, "{O.config}"),
		"an attestation":                 found("{B.att}", "busybox:1.36", service.ByManifest, "{B.att}"),
		"a manifest that is not there":   found("{P.arm}", "part:1", service.ByManifest, "{P.arm}"),
		"a config that is not there":     none("{P.arm.config}", "{P.arm.config}"),
		"a list in a list":               found("{N.list}", "nested:1", service.ByList, "{N.list}"),
		"a manifest in a list in a list": found("{N.list.arm}", "nested:1", service.ByManifest, "{N.list.arm}"),
		"a list that is not there":       found("{N.gone}", "nested:1", service.ByList, "{N.gone}"),
		"a layer":                        none("{B.amd.layer}", "{B.amd.layer}"),
		// A name and a digest.
		"the repository has it":                  found("busybox@{B}", "busybox:1.36", service.ByTarget, "{B}"),
		"another repository has it too":          found("example.com/mirror/busybox@{B}", "example.com/mirror/busybox:1.36", service.ByTarget, "{B}"),
		"only another repository has it":         none("busybox@{A}", "busybox@{A}"),
		"the repository of another host":         none("example.org/busybox@{B}", "example.org/busybox@{B}"),
		"the name has exactly that digest":       found("alpine@{A}", "alpine@{A}", service.ByTarget, "{A}"),
		"the tag is not looked at":               found("busybox:nothing@{B}", "busybox:1.36", service.ByTarget, "{B}"),
		"the tag points there":                   found("busybox:latest@{B}", "busybox:latest", service.ByTarget, "{B}"),
		"the tag points elsewhere":               none("debian:12@{O}", "debian:12@{O}"),
		"tag and digest are the name":            found("pinned:2@{I}", "pinned:2@{I}", service.ByTarget, "{I}"),
		"a name that lies about its digest":      none("wrong@{A}", "wrong@{A}"),
		"what such a name points at":             found("wrong@{W}", "wrong@{A}", service.ByTarget, "{W}"),
		"of a dangling record":                   none("debian@{O}", "debian@{O}"),
		"of a manifest in the repository":        found("busybox@{B.amd}", "busybox:1.36", service.ByManifest, "{B.amd}"),
		"of a manifest, in the other repository": found("zz/other@{B.amd}", "zz/other:1", service.ByManifest, "{B.amd}"),
		"of a manifest of another repository":    none("alpine@{B.arm}", "alpine@{B.arm}"),
		"of a config in the repository":          found("alpine@{A.config}", "alpine:3.20", service.ByConfig, "{A.config}"),
		"of nothing":                             none("busybox@sha256:"+zeros, "busybox@sha256:"+zeros),
		"of nothing by sha512":                   none("busybox@sha512:"+hex128, "busybox@sha512:"+hex128),
		"by sha512":                              found("long@{L}", "long:512", service.ByTarget, "{L}"),
		// The beginnings of digests.
		"12 characters":                          found("{A:12}", "alpine:3.20", service.ByTarget, "{A}").begins(),
		"with the algorithm":                     found("sha256:{A:12}", "alpine:3.20", service.ByTarget, "{A}").begins(),
		"63 characters":                          found("{D:63}", "debian:12", service.ByTarget, "{D}").begins(),
		"63 characters with the algorithm":       found("sha256:{D:63}", "debian:12", service.ByTarget, "{D}").begins(),
		"an odd number":                          found("{A:9}", "alpine:3.20", service.ByTarget, "{A}").begins(),
		"of a dangling record, beside one named": found("{O:12}", "@{O}", service.ByTarget, "{O}").begins().warns("is taken for {O}, and is also the beginning of sha256:{O:12}0"),
		"of a config":                            found("{A.config:12}", "alpine:3.20", service.ByConfig, "{A.config}").begins(),
		"of a manifest that is not there":        found("{P.arm:12}", "part:1", service.ByManifest, "{P.arm}").begins(),
		"of a list in a list":                    found("{N.list:12}", "nested:1", service.ByList, "{N.list}").begins(),
		"of sha512":                              found("{L:20}", "long:512", service.ByTarget, "{L}").begins(),
		"64 characters of sha512":                none("{L:64}", "sha256:{L:64}"),
		"of sha512, said to be of sha256":        none("sha256:{L:20}", "sha256:{L:20}"),
		"of sha512 with its algorithm":           none("sha512:{L:20}", "sha512:{L:20}"),
		"a target beside what is not there":      found("{B:12}", "busybox:1.36", service.ByTarget, "{B}").begins().warns("also the beginning of {H.B} (hostile:1)"),
		"a manifest beside what is not there":    found("{B.arm:12}", "busybox:1.36", service.ByManifest, "{B.arm}").begins().warns("also the beginning of"),
		"one character more than the other":      found("{X:5}", "pair:{X:8}", service.ByTarget, "{X}").begins(),
		"two targets":                            ambiguous("sha256:{X:4}", `"sha256:{X:4}" is the beginning of `),
		"two configs":                            ambiguous("{C1.config:4}", `"{C1.config:4}" is the beginning of `),
		"both configs are listed":                ambiguous("{C1.config:4}", "{C2.config} (configs:2)"),
		"two that are not there":                 ambiguous("00000000", `"00000000" is the beginning of sha256:00000000aaaa`),
		"many that are not there":                ambiguous("1111", "and 20 more: not found"),
		"three characters":                       none("{A:3}", "{A:3}:latest"),
		"three with the algorithm":               none("sha256:{A:3}", "sha256:{A:3}"),
		"in upper case":                          refused("DEADBEEF", "lower-case"),
		"in upper case with the algorithm":       none("sha256:DEADBEEF", "sha256:DEADBEEF"),
		"the algorithm in upper case":            refused("SHA256:{A:12}", "SHA256"),
		"a letter that is not hex":               none("{A:12}g", "{A:12}g:latest"),
		"of a layer":                             none("{B.amd.layer:16}", "{B.amd.layer:16}:latest"),
		"of nothing, short":                      none("ffffffffffffffff", "ffffffffffffffff:latest"),
		"with a tag":                             none("{A:12}:latest", "{A:12}:latest"),
		"with a digest":                          none("{A:12}@{A}", "{A:12}@{A}"),
		"65 characters with the algorithm":       none("sha256:{A#}0", "sha256:{A#}0"),
		"65 characters":                          none("{A#}0", "{A#}0:latest"),
		// Names that look like IDs.
		"a name beside the ID of a target":       found("{A:6}", "{A:6}:latest", service.ByName, "{K}").warns(`"{A:6}" is taken for the name "docker.io/library/{A:6}:latest", and is also the beginning of {A} (alpine:3.20)`),
		"a name beside that of a config":         found("{B.amd.config:8}", "{B.amd.config:8}:latest", service.ByName, "{K}").warns("also the beginning of {B.amd.config} (busybox:1.36)"),
		"a name beside two targets":              found("{X:4}", "{X:4}:latest", service.ByName, "{K}").warns("also the beginning of "),
		"a name with the algorithm":              found("sha256:{D:10}", "sha256:{D:10}", service.ByName, "{K}").warns("also the beginning of {D} (debian:12)"),
		"a name beside the ID of its own target": found("{E:7}", "{E:7}:latest", service.ByName, "{E}"),
		"such a name, in full":                   found("docker.io/library/{A:6}:latest", "{A:6}:latest", service.ByName, "{K}"),
		"the ID, one character longer":           found("{A:7}", "alpine:3.20", service.ByTarget, "{A}").begins(),
		// What is no reference.
		"empty":                           refused("", "image name cannot be blank"),
		"a space":                         refused("busy box", "reference"),
		"a tag of 129 characters":         refused("busybox:"+strings.Repeat("a", 129), "129"),
		"a tag that begins with a dot":    refused("busybox:.1", "begins with"),
		"two colons":                      refused("busybox:1:2", ""),
		"a digest that is too short":      refused("busybox@sha256:abcd", ""),
		"a digest in upper case":          refused("busybox@sha256:"+strings.Repeat("A", 64), ""),
		"hex as the name of a repository": refused("{A#}:latest", ""),
		"hex as a name, in full":          refused("docker.io/library/{A#}", ""),
		"a homoglyph":                     refused("\u0430lpine", "\\u0430"),
		"upper case in the repository":    refused("library/Busybox", ""),
		"credentials":                     refused("user:pw@example.com/x", ""),
		"two slashes":                     refused("library//busybox", ""),
		"a slash first":                   refused("/busybox", ""),
		"dots":                            refused("../busybox", ""),
		"a component of 256 characters":   refused(strings.Repeat("a", 256), ""),
		"a port that is none":             refused("example.com:99999/x", "99999"),
		"a NUL":                           refused("busybox\x00", ""),
	}
}

// begins is for a row whose reference is the beginning of the digest.
func (r resolveRow) begins() resolveRow {
	r.short = true
	return r
}

func TestResolve(t *testing.T) {
	t.Parallel()
	w := newResolveWorld(t)
	rows := resolveTable()
	if len(rows) < 80 {
		t.Errorf("%d rows; want 80 at least", len(rows))
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			r, err := w.Resolve(t.Context(), w.fill(t, row.ref))
			if row.err != nil {
				if !errors.Is(err, row.err) {
					t.Fatalf("error %v; want %v", err, row.err)
				}
				for _, text := range row.text {
					if text = w.fill(t, text); !strings.Contains(err.Error(), text) {
						t.Errorf("error %v; want %q in it", err, text)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := w.fill(t, strings.Join([]string{row.record, string(row.matched), row.digest}, " "))
			got := strings.Join([]string{keys([]store.Record{r.Record}), string(r.Matched), string(r.Digest)}, " ")
			if got != want || r.Short != row.short {
				t.Errorf("got %s, short %t; want %s", got, r.Short, want)
			}
			warnings := strings.Join(r.Warnings, "; ")
			if text := w.fill(t, row.warning); text == "" && warnings != "" || !strings.Contains(warnings, text) {
				t.Errorf("warnings %q; want %q", warnings, text)
			}
		})
	}
}

// TestResolveAbsentConfig: the config of an image is found by nothing as long as it is not
// there.
func TestResolveAbsentConfig(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	amd, arm := f.image(t, "linux/amd64", "x"), f.image(t, "linux/arm64", "x")
	config := f.config(t, arm)
	f.putPart(t, f.src.Index(amd, arm), func(n *image.Node) bool { return n.Desc.Digest == config }, "example.com/x:1")
	for _, text := range []string{config.String(), config.Encoded(), config.Encoded()[:12], "example.com/x@" + config.String()} {
		for of, resolve := range map[string]func(context.Context, string) error{
			"Resolve":    func(ctx context.Context, text string) error { _, err := f.Resolve(ctx, text); return err },
			"ResolveAll": func(ctx context.Context, text string) error { _, err := f.ResolveAll(ctx, text); return err },
		} {
			if err := resolve(t.Context(), text); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "No such image") {
				t.Errorf("%s of %s: %v", of, text, err)
			}
		}
	}
	for _, desc := range []ocispec.Descriptor{amd, arm} {
		if r, err := f.Resolve(t.Context(), desc.Digest.Encoded()[:12]); err != nil || r.Matched != service.ByManifest {
			t.Errorf("Resolve of %s: %+v, %v", desc.Digest, r, err)
		}
	}
}
