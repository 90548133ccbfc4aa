package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store/embedded"
)

// checkReport is what a check of the local store has found, in its JSON form.
type checkReport struct {
	Location string         `json:"location"`
	Complete bool           `json:"complete"` // everything was checked
	Sound    bool           `json:"sound"`    // nothing is wrong any more, of what was checked
	Blobs    int            `json:"blobs"`
	Bytes    int64          `json:"bytes"` // of them that were read
	Names    int            `json:"names"` // dangling records too
	Findings []checkFinding `json:"findings"`
	// Lacking are the names below which a blob is damaged or missing.
	Lacking []lackingName `json:"lacking"`
	// Recovered is the number of blobs that have lost their records and names, and are
	// held for a while by leases.
	Recovered int `json:"recovered"`

	repair    bool // was asked for
	damaged   bool // a blob does not match its digest, and is there still
	remain    int  // findings that are so still
	unwritten int  // of these, blobs that writing them again heals
}

// checkFinding is something that is not as it should be.
type checkFinding struct {
	Problem  embedded.Problem `json:"problem"`
	What     string           `json:"what,omitempty"` // a digest, a name or a path
	Error    string           `json:"error"`
	Repaired bool             `json:"repaired"`
	Done     string           `json:"done,omitempty"` // what the repair did
	Lost     bool             `json:"lost,omitempty"` // what it is about is gone
}

// newCheckReport returns the JSON form of a report. known tells of a digest whether the
// store has it now.
func newCheckReport(location string, r embedded.Report, known func(digest.Digest) bool) checkReport {
	c := checkReport{
		Location: location, Blobs: r.Blobs, Bytes: r.Bytes, Names: r.Names,
		Findings: []checkFinding{}, Lacking: []lackingName{},
	}
	for _, f := range r.Findings {
		found := checkFinding{Problem: f.Problem, What: f.What, Error: oneLine(f.Err.Error()), Repaired: f.Repaired}
		if f.Repaired {
			found.Done, found.Lost = repairs(f, r, known)
		}
		switch {
		case !f.Repaired:
			c.remain++
		case f.Remedy == embedded.ByWriting:
			c.remain++
			c.unwritten++
		}
		c.damaged = c.damaged || f.Problem == embedded.BadBlob && !f.Repaired && errdefs.IsDataLoss(f.Err)
		c.Findings = append(c.Findings, found)
	}
	c.Sound = c.remain == 0
	return c
}

// repairs says what a repair did about a finding of a report, and whether that is a loss.
func repairs(f embedded.Finding, of embedded.Report, known func(digest.Digest) bool) (done string, lost bool) {
	switch f.Problem {
	case embedded.BadFormat, embedded.BadJournal:
		return "written anew", false
	case embedded.BadDatabase:
		if slices.ContainsFunc(of.Findings, func(f embedded.Finding) bool { return f.Problem == embedded.BadJournal }) {
			return "set aside, and made anew of what is left: names may be lost", true
		}
		return "set aside, and made anew", false
	case embedded.BadRecord, embedded.BadFacts:
		return "made anew", false
	case embedded.BadBlob:
		return "lost until it is written again", true
	case embedded.BadMode:
		return "set", false
	case embedded.BadName:
		return "kept, its image is lost until it is written again", true
	case embedded.Leaked:
		return "left to the next dhow gc", false
	case embedded.Stray:
		d, err := image.ParseDigest(f.What)
		switch {
		case err != nil:
			return "set aside", false
		case known(d):
			return "known again, without a name", false
		}
		return "removed", false
	}
	return "repaired", false
}

// print prints the report for people.
func (c checkReport) print(w io.Writer) error {
	if len(c.Findings) > 0 {
		rows := [][]string{{"PROBLEM", "WHAT", "REPAIR", "WHAT IS WRONG"}}
		for _, f := range c.Findings {
			rows = append(rows, []string{string(f.Problem), text.Escape(f.What), f.Done, text.Escape(f.Error)})
		}
		if err := text.Table(w, rows); err != nil {
			return err
		}
	}
	for _, l := range c.Lacking {
		if _, err := fmt.Fprintf(w, "%s lacks %s\n", text.Escape(l.Name), l.Digest); err != nil {
			return err
		}
	}
	if c.Recovered > 0 {
		if _, err := fmt.Fprintf(w, "%s without records or names, held by leases until 30 days after they were found\n", text.Plural(c.Recovered, "blob")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s: checked %s, %s read, and %s: %s\n", text.Escape(c.Location),
		text.Plural(c.Blobs, "blob"), text.Size(c.Bytes), text.Plural(c.Names, "name"), c.verdict())
	return err
}

// verdict sums the findings up.
func (c checkReport) verdict() string {
	repaired, lost := 0, 0
	for _, f := range c.Findings {
		if f.Repaired {
			repaired++
		}
		if f.Lost {
			lost++
		}
	}
	switch {
	case len(c.Findings) == 0 && c.Complete:
		return "nothing is wrong"
	case repaired == 0:
		return text.Plural(len(c.Findings), "finding")
	}
	return fmt.Sprintf("%s, %d repaired, %d lost", text.Plural(len(c.Findings), "finding"), repaired, lost)
}

// remaining is an error if something is wrong still: ErrDataLoss if a blob does not
// match its digest.
func (c checkReport) remaining() error {
	findings := text.Plural(c.remain, "finding")
	switch {
	case c.remain == 0:
		return nil
	case c.repair && c.remain == c.unwritten:
		return fmt.Errorf("%s missing in the store %s until the same content is written again: %w", text.Plural(c.remain, "blob"), c.Location, errdefs.ErrFailedPrecondition)
	case c.repair:
		return fmt.Errorf("a repair cannot change %s in the store %s: %w", findings, c.Location, errdefs.ErrFailedPrecondition)
	}
	kind := error(errdefs.ErrFailedPrecondition)
	if c.damaged {
		kind = errdefs.ErrDataLoss
	}
	return fmt.Errorf("%s in the store %s; 'dhow fsck --repair' repairs what can be: %w", findings, c.Location, kind)
}
