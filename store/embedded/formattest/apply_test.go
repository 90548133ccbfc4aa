package formattest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (c *content) clone() *content {
	return &content{
		blobs: maps.Clone(c.blobs), facts: maps.Clone(c.facts), names: maps.Clone(c.names),
		leases: maps.Clone(c.leases), holds: maps.Clone(c.holds), ended: maps.Clone(c.ended),
	}
}

// apply does what a change says, by the section "Changes" of the page.
func (c *content) apply(change any) error {
	switch change := change.(type) {
	case putBlob:
		c.blobs[change.digest] = change.blob
		if change.facts != nil {
			c.note(change.digest, *change.facts)
		}
	case dropBlob:
		delete(c.blobs, change.digest)
		delete(c.facts, change.digest)
	case putFacts:
		c.note(change.digest, change.facts)
	case putName:
		c.names[change.key] = change.record
	case dropName:
		delete(c.names, change.key)
	case putLease:
		if old, there := c.leases[change.id]; there && old.number != change.lease.number {
			c.ended[old.number] = true
		}
		delete(c.ended, change.lease.number)
		c.leases[change.id] = change.lease
	case dropLease:
		if old, there := c.leases[change.id]; there {
			c.ended[old.number] = true
		}
		delete(c.leases, change.id)
	case hold:
		key := [2]uint64{change.number, change.part}
		if _, there := c.holds[key]; !there && !c.ended[change.number] {
			c.holds[key] = change.digests
		}
	default:
		return fmt.Errorf("change %T", change)
	}
	return nil
}

// note notes facts, unless there are some that count more.
func (c *content) note(digest string, f facts) {
	_, visible := c.blobs[digest]
	old, there := c.facts[digest]
	if visible && (!there || isDocument(f.mediaType) && !isDocument(old.mediaType)) {
		c.facts[digest] = f
	}
}

// letGo forgets what leases hold that there are no more.
func (c *content) letGo() {
	live := map[uint64]bool{}
	for _, l := range c.leases {
		live[l.number] = true
	}
	for key := range c.holds {
		if !live[key[0]] {
			delete(c.holds, key)
		}
	}
	clear(c.ended)
}

// isDocument reports whether a media type is that of a manifest or list.
func isDocument(mediaType string) bool {
	return slices.Contains([]string{
		"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
		"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
		"application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws",
	}, mediaType)
}

func isImageConfig(mediaType string) bool {
	return mediaType == "application/vnd.oci.image.config.v1+json" || mediaType == "application/vnd.docker.container.image.v1+json"
}

// keyOf returns a digest as bytes.
func keyOf(digest string) string {
	name, digits, _ := strings.Cut(digest, ":")
	for i, a := range algorithms {
		if hash, err := hex.DecodeString(digits); err == nil && a.name == name && uint64(len(hash)) == a.size {
			return string(rune(i)) + string(hash)
		}
	}
	panic("no digest: " + digest)
}

func nameKey(key string) string {
	if d, dangling := strings.CutPrefix(key, "@"); dangling {
		return "\x00" + keyOf(d)
	}
	return "\x01" + key
}

// derived are the buckets that follow from content by the section "Index" of the page.
type derived struct {
	targets                              map[string]record
	refs, contained, children, referrers map[string]string
}

func (c *content) derive() derived {
	x := derived{map[string]record{}, map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}}
	for key, r := range c.names {
		x.targets[keyOf(r.target.digest)+nameKey(key)] = r
		c.contain(x.contained, r.target.digest, r.target.digest)
	}
	for key, digests := range c.holds {
		for _, d := range digests {
			x.refs[keyOf(d)+"\x02"+string(binary.BigEndian.AppendUint64(nil, key[0]))] = ""
		}
	}
	for d, f := range c.facts {
		for _, e := range f.edges {
			x.refs[keyOf(e.target.digest)+"\x01"+keyOf(d)] = ""
		}
		if f.subject != "" {
			x.referrers[keyOf(f.subject)+keyOf(d)] = ""
			if _, visible := c.blobs[f.subject]; visible {
				x.refs[keyOf(d)+"\x03"+keyOf(f.subject)] = ""
			}
		}
		if f.parent != "" {
			x.children[keyOf(f.parent)+keyOf(d)] = ""
		}
	}
	return x
}

// contain enters a document and what is below it.
func (c *content) contain(into map[string]string, root, document string) {
	key := keyOf(document) + keyOf(root)
	if into[key] == "\x02" {
		return
	}
	into[key] = "\x02"
	for _, e := range c.facts[document].edges {
		switch below := keyOf(e.target.digest) + keyOf(root); {
		case e.role == "index" || e.role == "manifest" || e.role == "attestation":
			c.contain(into, root, e.target.digest)
		case e.role == "config" && isImageConfig(e.target.mediaType) && into[below] == "":
			if _, visible := c.blobs[e.target.digest]; visible {
				into[below] = "\x01"
			}
		}
	}
}
