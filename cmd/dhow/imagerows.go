package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/service"
)

// none stands in a table where an image has no such thing.
const none = "<none>"

// imageRow is a line of the table of images, and what a template is given.
type imageRow struct {
	Repository, Tag string // none where there is none
	Digest          digest.Digest
	ID              string // short, unless it is to be whole
	// Platforms says of how many of the image's platforms all is there, as 2/8.
	Platforms    string
	CreatedAt    time.Time // zero is not known
	CreatedSince string
	Size         string // of all that is there
	// Image is all that is known of the image.
	Image *imageReport
}

// rows are the lines for images: one for each name.
func (f *imagesFlags) rows(found []service.Summary, now time.Time) []imageRow {
	rows := make([]imageRow, 0, len(found))
	for i := range found {
		s := &found[i]
		row := imageRow{
			Repository: none, Tag: none, Digest: s.ID, ID: f.id(s.ID), Platforms: platformCount(s.Instances),
			CreatedAt: s.Created, CreatedSince: text.Ago(s.Created, now), Size: text.Size(s.Size),
		}
		if f.format != "" {
			report := newImageReport(s)
			row.Image = &report
		}
		for _, name := range s.Names {
			row.Repository, row.Tag = splitName(name).parts()
			rows = append(rows, row)
		}
		if len(s.Names) == 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// id is what is shown of an ID.
func (f *imagesFlags) id(d digest.Digest) string {
	const short = 12
	if hex := d.Encoded(); !f.noTrunc && len(hex) > short {
		return hex[:short]
	}
	return d.String()
}

// platformCount says of how many of the platforms all is there. A list that is absent counts
// as one, since it has one at least.
func platformCount(instances []service.Instance) string {
	all, there := 0, 0
	for i := range instances {
		if kind := instances[i].Kind; kind != service.KindImage && kind != service.KindList {
			continue
		}
		all++
		if instances[i].Presence == service.Complete {
			there++
		}
	}
	return fmt.Sprintf("%d/%d", there, all)
}

// table are the lines of the table for people.
func (f *imagesFlags) table(rows []imageRow) [][]string {
	head := []string{"REPOSITORY", "TAG", "IMAGE ID", "PLATFORMS", "CREATED", "SIZE"}
	if f.digests {
		head = []string{"REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "PLATFORMS", "CREATED", "SIZE"}
	}
	table := append(make([][]string, 0, len(rows)+1), head)
	for i := range rows {
		r := &rows[i]
		created := r.CreatedSince
		if created == "" {
			created = "not known"
		}
		line := []string{text.Escape(r.Repository), text.Escape(r.Tag), r.ID, r.Platforms, created, r.Size}
		if f.digests {
			line = []string{line[0], line[1], r.Digest.String(), r.ID, r.Platforms, created, r.Size}
		}
		table = append(table, line)
	}
	return table
}

// writeIDs writes the ID of each image.
func (f *imagesFlags) writeIDs(w io.Writer, found []service.Summary) error {
	for i := range found {
		if _, err := fmt.Fprintln(w, f.id(found[i].ID)); err != nil {
			return err
		}
	}
	return nil
}

// writeImageTrees writes images with their platforms.
func writeImageTrees(w io.Writer, images []imageReport) error {
	for i := range images {
		r := &images[i]
		if _, err := fmt.Fprintf(w, "%s  %s  %s\n", namesOrNone(r.Names), r.ID, text.Size(r.Size)); err != nil {
			return err
		}
		if err := text.Tree(w, describe.InstanceBranches(r.Instances, nil)); err != nil {
			return err
		}
	}
	return nil
}

// nameParts are a name, taken apart.
type nameParts struct {
	familiar, tag string
	digest        digest.Digest
}

// splitName takes the name of a record apart; one that cannot be parsed is a repository.
func splitName(name string) nameParts {
	r, err := ref.Parse(name)
	if err != nil {
		return nameParts{familiar: name}
	}
	return nameParts{r.Familiar(), r.Tag(), r.Digest()}
}

// parts returns the familiar repository and the tag, or none.
func (n nameParts) parts() (repository, tag string) {
	repository, tag = n.familiar, none
	if n.digest != "" {
		repository = strings.TrimSuffix(repository, "@"+n.digest.String())
	}
	if n.tag != "" {
		repository, tag = strings.TrimSuffix(repository, ":"+n.tag), n.tag
	}
	return repository, tag
}
