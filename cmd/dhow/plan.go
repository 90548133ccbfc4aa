package main

import (
	"fmt"
	"io"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
)

// planReport is the JSON form of a plan, which --dry-run prints. It is that of a
// receipt as far as it can be known, but has the descriptors in the order in which
// they would be put: children before parents.
type planReport struct {
	Version     int                `json:"version"`
	DryRun      bool               `json:"dryRun"`
	Source      string             `json:"source"`
	Destination string             `json:"destination"`
	SourceRoot  ocispec.Descriptor `json:"sourceRoot"`
	Root        ocispec.Descriptor `json:"root"`
	Descriptors []copy.Entry       `json:"descriptors"`
	Names       []copy.Name        `json:"names,omitempty"`
	Notes       []string           `json:"notes,omitempty"`
	// Bytes is the sum of the sizes of what would be put at the destination.
	Bytes int64 `json:"bytes"`
}

func newPlanReport(p *copy.Plan, from, to string) planReport {
	r := planReport{
		Version: 1, DryRun: true, Source: from, Destination: to,
		SourceRoot: p.SourceRoot, Root: p.Root, Notes: p.Notes,
	}
	for _, op := range p.Ops {
		r.Descriptors = append(r.Descriptors, op.Entry())
		r.Bytes += max(op.Node.Desc.Size, 0)
	}
	r.Descriptors = append(r.Descriptors, p.Left...)
	for _, n := range p.Names {
		if n.Name != "" {
			r.Names = append(r.Names, copy.Name{Name: n.Name, Digest: n.Desc.Digest})
		}
	}
	return r
}

// printPlan prints a plan as a table or as JSON.
func (a *app) printPlan(r planReport, f copyFlags) error {
	if f.json {
		return a.writeJSON(r)
	}
	if err := a.printNotes(r.Notes); err != nil {
		return err
	}
	return a.write(r.table)
}

// table writes the plan for people.
func (r planReport) table(w io.Writer) error {
	rows := [][]string{{"ACTION", "ROLE", "PLATFORM", "DIGEST", "SIZE", "REASON"}}
	kept := 0
	for _, e := range r.Descriptors {
		if e.Action != copy.Skipped && e.Action != copy.Missing {
			kept++
		}
		reason := text.Escape(e.Reason)
		if reason == "" && e.Subject != "" && e.Parent == "" {
			reason = r.belonging(e)
		}
		rows = append(rows, []string{verb(e.Action), e.Role, text.Cut(e.Platform, text.MaxValue), text.Short(e.Digest), text.Size(e.Size), reason})
	}
	if err := text.Table(w, rows); err != nil {
		return err
	}
	for _, n := range r.Names {
		if _, err := fmt.Fprintf(w, "name %s -> %s\n", text.Escape(n.Name), n.Digest); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s %s: %s, at most %s to move; %d left behind\n",
		text.Escape(r.Destination), r.Root.Digest, text.Plural(kept, "descriptor"), text.Size(r.Bytes), len(r.Descriptors)-kept)
	return err
}

// belonging says how an entry belongs to its subject: by a digest tag, or as a
// referrer.
func (r planReport) belonging(e copy.Entry) string {
	tag := strings.ReplaceAll(e.Subject.String(), ":", "-")
	for _, n := range r.Names {
		if kind, ok := strings.CutPrefix(n.Name, tag); ok && n.Digest == e.Digest {
			return "tag …" + text.Escape(kind) + " of " + text.Short(e.Subject)
		}
	}
	return "refers to " + text.Short(e.Subject)
}

// verb is what an action will do.
func verb(a copy.Action) string {
	switch a {
	case copy.Copied:
		return "copy"
	case copy.Converted:
		return "convert"
	case copy.Edited:
		return "edit"
	case copy.Skipped:
		return "skip"
	default:
		return string(a)
	}
}
