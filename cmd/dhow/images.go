package main

import (
	"context"
	"io"
	"text/template"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/service"
)

// imagesFlags are the flags of images.
type imagesFlags struct {
	all     bool
	filters []string
	tree    bool
	quiet   bool
	digests bool
	noTrunc bool
	json    bool
	format  string
}

// imagesCommand makes the command that lists the images of the local store.
func (a *app) imagesCommand() *cobra.Command {
	var f imagesFlags
	cmd := &cobra.Command{
		Use:   "images [REFERENCE...]",
		Short: "List the images of the local store",
		Long: "List the images of the local store, the last created first: each name on a line, with how\n" +
			"many of the platforms are there; or with --tree each image with its platforms. Only what\n" +
			"one REFERENCE means is listed: a name, a repository with all its names, NAME@DIGEST or a\n" +
			"whole digest, or a pattern with * ? [], as 'team/*' or '*:latest'.",
		ValidArgsFunction: a.completeImages(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, group := range [][]string{{"tree", "quiet", "json", "format"}, {"tree", "digests"}} {
				if err := contradict(cmd, group...); err != nil {
					return err
				}
			}
			return a.listImages(cmd.Context(), &f, args)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&f.all, "all", "a", false, "list nameless images too that others were built upon")
	flags.StringArrayVarP(&f.filters, "filter", "f", nil, "list only what this `KEY=VALUE` holds for: dangling=true|false, label=KEY[=VALUE], before=IMAGE, since=IMAGE, until=TIME or DURATION, reference=PATTERN; may be repeated")
	flags.BoolVar(&f.tree, "tree", false, "list each image once, with its platforms, those that are not there too")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print IDs only")
	flags.BoolVar(&f.digests, "digests", false, "show digests")
	flags.BoolVar(&f.noTrunc, "no-trunc", false, "show whole IDs")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.StringVar(&f.format, "format", "", "print for each line what this Go `TEMPLATE` makes of it; values are printed as they are stored")
	return cmd
}

func (a *app) listImages(ctx context.Context, f *imagesFlags, references []string) error {
	now := time.Now()
	var t *template.Template
	var err error
	if f.format != "" {
		if t, err = parseTemplate(f.format); err != nil {
			return err
		}
	}
	opts := service.ListOptions{Intermediate: f.all, Labels: f.json || t != nil, Shared: f.json || t != nil}
	if opts.Filter, err = service.ParseFilter(f.filters, now); err != nil {
		return err
	}
	opts.Filter.Images = references
	shortLived()
	var found []service.Summary
	err = a.withImagesIfAny(ctx, storeLook, func(images *service.Service) (err error) {
		found, err = images.List(ctx, opts)
		return err
	})
	switch {
	case err != nil:
		return err
	case f.json:
		return a.writeJSON(newImageReports(found))
	case f.tree:
		return a.write(func(w io.Writer) error { return writeImageTrees(w, newImageReports(found)) })
	case f.quiet:
		return a.write(func(w io.Writer) error { return f.writeIDs(w, found) })
	case t != nil:
		return a.write(func(w io.Writer) error { return writeTemplates(w, t, f.rows(found, now)) })
	default:
		return a.write(func(w io.Writer) error { return text.Table(w, f.table(f.rows(found, now))) })
	}
}

// imageReport is the JSON form of an image in a list.
type imageReport struct {
	ID        digest.Digest `json:"id"`
	MediaType string        `json:"mediaType"`
	Names     []string      `json:"names"` // familiar
	// Created is when the instance was that this machine prefers; nil is not known.
	Created *time.Time `json:"created,omitempty"`
	Updated time.Time  `json:"updated"`
	// Size is that of all that is there, SharedSize how much of it other images have too.
	Size       int64               `json:"size"`
	SharedSize int64               `json:"sharedSize"`
	Labels     map[string]string   `json:"labels,omitempty"`
	Manifest   digest.Digest       `json:"manifest,omitempty"` // of the preferred instance
	Instances  []describe.Instance `json:"instances"`
}

func newImageReports(found []service.Summary) []imageReport {
	all := make([]imageReport, len(found))
	for i := range found {
		all[i] = newImageReport(&found[i])
	}
	return all
}

func newImageReport(s *service.Summary) imageReport {
	r := imageReport{
		ID: s.ID, MediaType: s.Target.MediaType, Names: familiarNames(s.Names), Updated: s.Updated, Size: s.Size, SharedSize: s.Shared,
		Labels: s.Labels, Instances: describe.InstancesOf(s.Instances),
	}
	if !s.Created.IsZero() {
		r.Created = &s.Created
	}
	if s.Preferred >= 0 {
		r.Manifest = s.Instances[s.Preferred].Descriptor.Digest
	}
	return r
}
