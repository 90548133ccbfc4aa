package service

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

// candidate is a digest that begins with the characters that were given.
type candidate struct {
	digest  digest.Digest
	near    nearness
	records []store.Record // that point at it
}

// nearness is how near a digest is to being what was meant: a list can name whatever it
// likes, and must not make the IDs of other images ambiguous.
type nearness int

const (
	isTarget nearness = iota
	isPresent
	isAbsent
)

// byPrefix finds the record of the one digest that begins with the characters.
func (v *view) byPrefix(q query) (Resolution, error) {
	found, more, err := v.candidates(q)
	if err != nil {
		return Resolution{}, fmt.Errorf("resolve %.256q: %w", q.text, err)
	}
	if len(found) == 0 && more == "" {
		return Resolution{}, q.noSuchImage()
	}
	if len(found) == 0 || len(found) > 1 && found[0].near == found[1].near {
		said, err := v.say(found, more)
		if err != nil {
			return Resolution{}, fmt.Errorf("resolve %.256q: %w", q.text, err)
		}
		return Resolution{}, fmt.Errorf("ambiguous reference: %.256q is the beginning of %s: %w", q.text, said, errdefs.ErrNotFound)
	}
	r, err := v.among(query{text: q.text, digest: found[0].digest}, found[0].records)
	if err != nil {
		return Resolution{}, err
	}
	r.Short = true
	if others := found[1:]; len(others) > 0 || more != "" {
		said, err := v.say(others, more)
		if err != nil {
			return Resolution{}, err
		}
		r.Warnings = append(r.Warnings, fmt.Sprintf("%.256q is taken for %s, and is also the beginning of %s", q.text, r.Digest, said))
	}
	return r, nil
}

// candidates returns the digests that begin with the characters, the nearest first. Where
// there are too many, which is the work of one who has chosen them, they are the targets
// among them, and more says that.
func (v *view) candidates(q query) (found []candidate, more string, err error) {
	limit := v.s.opts.Limits.GraphNodes
	digests, err := v.Prefix(q.prefix, limit)
	if err != nil {
		return nil, "", err
	}
	if len(digests) == limit {
		found, err = v.targets(q)
		return found, fmt.Sprintf("%d digests or more", limit), err
	}
	for i, d := range digests {
		if i%256 == 0 && v.ctx.Err() != nil {
			return nil, "", v.ctx.Err()
		}
		if q.sha256 && d.Algorithm() != digest.SHA256 {
			continue
		}
		c, err := v.candidate(d)
		if err != nil {
			return nil, "", err
		}
		found = append(found, c)
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return int(a.near - b.near) })
	return found, "", nil
}

// targets returns the targets that begin with the characters. It looks at all records.
func (v *view) targets(q query) ([]candidate, error) {
	var found []candidate
	at := map[digest.Digest]int{}
	err := v.eachRecord(func(rec store.Record) error {
		d := rec.Target.Digest
		if !strings.HasPrefix(d.Encoded(), q.prefix) || q.sha256 && d.Algorithm() != digest.SHA256 {
			return nil
		}
		i, again := at[d]
		if !again {
			i = len(found)
			at[d] = i
			found = append(found, candidate{digest: d, near: isTarget})
		}
		found[i].records = append(found[i].records, rec)
		return nil
	})
	return found, err
}

func (v *view) candidate(d digest.Digest) (candidate, error) {
	records, err := v.Target(d)
	if err != nil {
		return candidate{}, err
	}
	if len(records) > 0 {
		return candidate{d, isTarget, records}, nil
	}
	_, err = v.Blob(d)
	switch {
	case err == nil:
		return candidate{d, isPresent, nil}, nil
	case errdefs.IsNotFound(err):
		return candidate{d, isAbsent, nil}, nil
	}
	return candidate{}, err
}

// beside says what a name, which has a record, would be as the beginning of a digest in
// another image.
func (v *view) beside(q query, rec store.Record) ([]string, error) {
	found, more, err := v.candidates(q)
	if err != nil {
		return nil, fmt.Errorf("resolve %.256q: %w", q.text, err)
	}
	var others []candidate
	for _, c := range found {
		in, err := v.Containing(c.digest)
		if err != nil {
			return nil, fmt.Errorf("resolve %.256q: %w", q.text, err)
		}
		same := func(other store.Record) bool { return other.Target.Digest == rec.Target.Digest }
		if !slices.ContainsFunc(in, same) {
			others = append(others, c)
		}
	}
	if len(others) == 0 && more == "" {
		return nil, nil
	}
	said, err := v.say(others, more)
	if err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("%.256q is taken for the name %.512q, and is also the beginning of %s", q.text, rec.Name, said)}, nil
}

// say lists some candidates, each with the name of an image that it is in, and what more
// there is.
func (v *view) say(all []candidate, more string) (string, error) {
	said := make([]string, len(all))
	for i, c := range all[:min(len(all), listed)] {
		records, err := v.Containing(c.digest)
		if err != nil {
			return "", err
		}
		said[i] = string(c.digest)
		if len(records) == 0 {
			continue
		}
		if rec := prefer(records, query{}.name); !rec.Dangling() {
			said[i] += " (" + Familiar(rec) + ")"
		}
	}
	if more != "" {
		said = append(said[:min(len(said), listed-1)], more)
	}
	return some(said), nil
}

// listed is how many of many a message names.
const listed = 10

// some joins the first of many.
func some(all []string) string {
	if len(all) <= listed {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:listed], ", "), len(all)-listed)
}

// someDigests joins the first of many digests.
func someDigests(all []digest.Digest) string {
	texts := make([]string, len(all))
	for i, d := range all {
		texts[i] = string(d)
	}
	return some(texts)
}
