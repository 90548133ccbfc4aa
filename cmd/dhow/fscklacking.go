package main

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// lackingName is a name, or a dangling record, below which a blob is damaged or missing.
type lackingName struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

// damagedBlobs are the blobs that a check found damaged or missing.
func damagedBlobs(r embedded.Report) map[digest.Digest]bool {
	all := map[digest.Digest]bool{}
	for _, f := range r.Findings {
		if f.Problem == embedded.BadBlob {
			all[digest.Digest(f.What)] = true
		}
	}
	return all
}

// lackingPage is how many names are looked at in one view.
const lackingPage = 100

// lacking finds the names below which blobs are damaged, a pair for each. What is below a
// document that is damaged itself is not known.
func lacking(ctx context.Context, names store.Names, damaged map[digest.Digest]bool) ([]lackingName, error) {
	found := []lackingName{}
	if len(damaged) == 0 {
		return found, nil
	}
	below := map[digest.Digest][]digest.Digest{}
	for after, more := "", true; more; {
		err := names.View(ctx, func(r store.NameReader) error {
			records, err := r.List(after, lackingPage)
			for _, rec := range records {
				after = rec.Key()
				lost, err := damagedBelow(r, rec.Target.Digest, damaged, below)
				if err != nil {
					return err
				}
				for _, d := range lost {
					found = append(found, lackingName{after, d})
				}
			}
			more = len(records) == lackingPage
			return err
		})
		if err != nil {
			return found, fmt.Errorf("looking for the names that lack something: %w", err)
		}
	}
	return found, nil
}

// damagedBelow returns what is damaged of a blob and all below it, each once; what was
// found is kept in below.
func damagedBelow(r store.NameReader, d digest.Digest, damaged map[digest.Digest]bool, below map[digest.Digest][]digest.Digest) ([]digest.Digest, error) {
	if all, known := below[d]; known {
		return all, nil
	}
	below[d] = nil // should it be below itself
	var all []digest.Digest
	if damaged[d] {
		all = append(all, d)
	}
	facts, err := r.Facts(d)
	if err != nil && !errdefs.IsNotFound(err) {
		return nil, err
	}
	seen := map[digest.Digest]bool{d: true}
	for _, e := range facts.Edges {
		lost, err := damagedBelow(r, e.Desc.Digest, damaged, below)
		if err != nil {
			return nil, err
		}
		for _, l := range lost {
			if !seen[l] {
				seen[l] = true
				all = append(all, l)
			}
		}
	}
	below[d] = all
	return all, nil
}
