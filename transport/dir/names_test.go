package dir

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestFileNames(t *testing.T) {
	t.Parallel()
	hex256, hex384, hex512 := strings.Repeat("a1", 32), strings.Repeat("b2", 48), strings.Repeat("c3", 64)
	d256, d384, d512 := digest.Digest("sha256:"+hex256), digest.Digest("sha384:"+hex384), digest.Digest("sha512:"+hex512)
	for _, tt := range []struct {
		what, name, want string
		entry            entry
	}{
		{"sha256 blob", blobName(d256), hex256, entry{kind: blobEntry, digest: d256}},
		{"sha384 blob", blobName(d384), "sha384-" + hex384, entry{kind: blobEntry, digest: d384}},
		{"sha512 blob", blobName(d512), "sha512-" + hex512, entry{kind: blobEntry, digest: d512}},
		{"sha256 manifest", manifestName(d256), hex256 + ".manifest.json", entry{kind: manifestEntry, digest: d256}},
		{"sha512 manifest", manifestName(d512), "sha512-" + hex512 + ".manifest.json", entry{kind: manifestEntry, digest: d512}},
		{"signature of the root", signatureName("", 1), "signature-1", entry{kind: signatureEntry, number: 1}},
		{"signature of a sha256 manifest", signatureName(d256, 12), hex256 + ".signature-12", entry{kind: signatureEntry, digest: d256, number: 12}},
		{"signature of a sha512 manifest", signatureName(d512, 2), "sha512-" + hex512 + ".signature-2", entry{kind: signatureEntry, digest: d512, number: 2}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			if tt.name != tt.want {
				t.Errorf("name is %q, want %q", tt.name, tt.want)
			}
			if got := parseEntry(tt.name); got != tt.entry {
				t.Errorf("parseEntry(%q) = %+v, want %+v", tt.name, got, tt.entry)
			}
		})
	}
}

func TestForeignNames(t *testing.T) {
	t.Parallel()
	hex256 := strings.Repeat("a1", 32)
	for _, name := range []string{
		"", ".", "..", "manifest.json", "version", lockName, "notes.txt", "signature-", "signature-0", "signature-01",
		"signature--1", "signature-+1", "signature-1x", "signature-99999999999999999999", "Signature-1",
		hex256[:63], hex256 + "0", strings.ToUpper(hex256), hex256[:63] + "g", "sha256-" + hex256, "sha256:" + hex256, "sha512-" + hex256,
		"md5-" + hex256[:32], "-" + hex256, hex256 + "-", hex256 + ".", "." + hex256, hex256 + ".manifest", hex256 + ".manifest.json.tmp",
		hex256 + ".json", hex256 + ".signature-0", hex256 + ".signature-", hex256 + ".tar", "sha256-" + hex256 + ".manifest.json",
	} {
		if got := parseEntry(name); got != (entry{}) {
			t.Errorf("parseEntry(%q) = %+v, want it foreign", name, got)
		}
	}
}
