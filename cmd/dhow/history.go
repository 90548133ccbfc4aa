package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/service"
)

// historyFlags are the flags of history.
type historyFlags struct {
	platform string
	noTrunc  bool
	quiet    bool
	json     bool
	format   string
}

// historyCommand makes the command that tells how an image was made.
func (a *app) historyCommand() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "history IMAGE",
		Short: "Show how an image of the local store was made",
		Long: "Show the steps in which IMAGE was made, as the config of the instance for a platform says,\n" +
			"the last one first.",
		Args:              args("IMAGE"),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := contradict(cmd, "quiet", "json", "format"); err != nil {
				return err
			}
			asked, err := parsePlatform(f.platform)
			if err != nil {
				return err
			}
			return a.history(cmd.Context(), &f, args[0], asked)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.platform, "platform", "", "show the history of the instance for this `PLATFORM`, as linux/arm64")
	flags.BoolVar(&f.noTrunc, "no-trunc", false, "show all of each step")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print the digests of layers only")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.StringVar(&f.format, "format", "", "print for each step what this Go `TEMPLATE` makes of its JSON form; values are printed as they are stored")
	return cmd
}

// historyReport is the JSON form of a history.
type historyReport struct {
	ID       digest.Digest `json:"id"`
	Manifest digest.Digest `json:"manifest"`
	Platform string        `json:"platform,omitempty"`
	Steps    []historyStep `json:"steps"` // the last one first
}

// historyStep is one of its steps.
type historyStep struct {
	Created   *time.Time    `json:"created,omitempty"`
	CreatedBy string        `json:"createdBy"`
	Comment   string        `json:"comment,omitempty"`
	Layer     digest.Digest `json:"layer,omitempty"`
	Size      int64         `json:"size"`
	Names     []string      `json:"names,omitempty"` // familiar
}

func newHistoryReport(h *service.History) historyReport {
	r := historyReport{ID: h.Record.Target.Digest, Manifest: h.Instance.Descriptor.Digest, Steps: []historyStep{}}
	if p := h.Instance.Platform; p != nil {
		r.Platform = platform.Format(*p)
	}
	for _, line := range h.Lines {
		step := historyStep{CreatedBy: line.CreatedBy, Comment: line.Comment, Layer: line.Layer, Size: line.Size}
		if !line.Created.IsZero() {
			step.Created = &line.Created
		}
		for _, name := range line.Names {
			step.Names = append(step.Names, splitName(name).familiar)
		}
		r.Steps = append(r.Steps, step)
	}
	return r
}

func (a *app) history(ctx context.Context, f *historyFlags, ref string, asked *ocispec.Platform) error {
	show, err := f.printer(time.Now())
	if err != nil {
		return err
	}
	return a.withImages(ctx, storeLook, func(images *service.Service) error {
		h, err := images.History(ctx, ref, asked)
		if err != nil {
			return err
		}
		if err := a.warn(h.Warnings); err != nil {
			return err
		}
		return a.write(func(w io.Writer) error { return show(w, newHistoryReport(&h)) })
	})
}

// printer returns the function that prints a history as the flags say.
func (f *historyFlags) printer(now time.Time) (func(io.Writer, historyReport) error, error) {
	switch {
	case f.json:
		return func(w io.Writer, r historyReport) error { return text.JSON(w, r) }, nil
	case f.format != "":
		t, err := parseTemplate(f.format)
		if err != nil {
			return nil, err
		}
		return func(w io.Writer, r historyReport) error { return writeTemplates(w, t, r.Steps) }, nil
	case f.quiet:
		return func(w io.Writer, r historyReport) error { return r.writeLayers(w) }, nil
	default:
		return func(w io.Writer, r historyReport) error { return text.Table(w, r.table(f, now)) }, nil
	}
}

// writeLayers writes the digests of the layers.
func (r historyReport) writeLayers(w io.Writer) error {
	for _, step := range r.Steps {
		if step.Layer == "" {
			continue
		}
		if _, err := fmt.Fprintln(w, step.Layer); err != nil {
			return err
		}
	}
	return nil
}

// table are the lines of the table for people.
func (r historyReport) table(f *historyFlags, now time.Time) [][]string {
	table := [][]string{{"LAYER", "CREATED", "CREATED BY", "SIZE", "COMMENT"}}
	for _, step := range r.Steps {
		layer, created, by, comment := none, "not known", text.Cut(step.CreatedBy, maxStep), text.Cut(step.Comment, maxStep)
		if step.Created != nil {
			created = text.Ago(*step.Created, now)
		}
		if step.Layer != "" {
			layer = text.Short(step.Layer)
		}
		if f.noTrunc {
			by, comment = text.Escape(step.CreatedBy), text.Escape(step.Comment)
			if step.Layer != "" {
				layer = step.Layer.String()
			}
		}
		table = append(table, []string{layer, created, by, text.Size(step.Size), comment})
	}
	return table
}

// maxStep is how many bytes are shown of what made a layer.
const maxStep = 45
