package main

import (
	"context"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// dfFlags are the flags of df.
type dfFlags struct {
	json bool
}

// dfCommand makes the command that tells what takes up the disk.
func (a *app) dfCommand() *cobra.Command {
	var f dfFlags
	cmd := &cobra.Command{
		Use:   "df",
		Short: "Tell what of the local store takes up the disk",
		Long: "Tell how much of the disk the images of the local store take up, each blob once, what of\n" +
			"that can be freed, what has come of blobs that are not complete, and what the store needs\n" +
			"for itself.",
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.df(cmd.Context(), f) },
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// usageReport is the JSON form of what takes up the disk.
type usageReport struct {
	// Count is the number of images, Dangling of those without a name.
	Count    int `json:"count"`
	Dangling int `json:"dangling"`
	// Images are their blobs, each once; Freeable are those of them that only images
	// without a name have.
	Images   store.Amount `json:"images"`
	Freeable store.Amount `json:"freeable"`
	Unused   store.Amount `json:"unused"`
	Partial  store.Amount `json:"partial"`
	// These are nil where the store does not tell.
	Trash    *store.Amount `json:"trash,omitempty"`
	Overhead *int64        `json:"overhead,omitempty"`
	Total    *int64        `json:"total,omitempty"`
}

func (a *app) df(ctx context.Context, f dfFlags) error {
	var u service.Usage
	err := a.withImagesIfAny(ctx, storeLook, func(images *service.Service) (err error) {
		u, err = images.DiskUsage(ctx)
		return err
	})
	if err != nil {
		return err
	}
	r := usageReport(u)
	if f.json {
		return a.writeJSON(r)
	}
	return a.write(func(w io.Writer) error { return text.Table(w, r.table()) })
}

// table are the lines of the table for people.
func (r usageReport) table() [][]string {
	rows := [][]string{{"TYPE", "COUNT", "SIZE"}}
	row := func(label string, a *store.Amount) {
		if a != nil {
			rows = append(rows, []string{label, strconv.Itoa(a.Count), text.Size(a.Bytes)})
		}
	}
	rows = append(rows, []string{"images", strconv.Itoa(r.Count), text.Size(r.Images.Bytes)})
	rows = append(rows, []string{"  without a name", strconv.Itoa(r.Dangling), text.Size(r.Freeable.Bytes)})
	row("unused blobs", &r.Unused)
	row("partial blobs", &r.Partial)
	row("trash", r.Trash)
	for _, own := range []struct {
		label string
		bytes *int64
	}{{"the store itself", r.Overhead}, {"total", r.Total}} {
		if own.bytes != nil {
			rows = append(rows, []string{own.label, "", text.Size(*own.bytes)})
		}
	}
	return rows
}
