package main

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// tagFlags are the flags of tag.
type tagFlags struct {
	json bool
}

// tagCommand makes the command that gives an image of the local store further names.
func (a *app) tagCommand() *cobra.Command {
	var f tagFlags
	cmd := &cobra.Command{
		Use:   "tag IMAGE NAME...",
		Short: "Give an image of the local store another name",
		Long: "Give IMAGE, a name or an ID in the local store, each NAME as well, wherever that points\n" +
			"at now, or none if one of them cannot be given. What had the name before stays, without\n" +
			"one if it has no other.",
		Args:              argsBetween(2, 0, "IMAGE NAME..."),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withImages(cmd.Context(), storeChange, func(images *service.Service) error {
				return a.tag(cmd.Context(), images, args[0], args[1:], f)
			})
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// taggedReport is the JSON form of a name that was given.
type taggedReport struct {
	Name   string        `json:"name"` // familiar
	Digest digest.Digest `json:"digest"`
	// Before is what the name pointed at before, if that was something else. Dangling
	// tells that it has no name any more.
	Before   digest.Digest `json:"before,omitempty"`
	Dangling bool          `json:"dangling,omitempty"`
}

// tag gives names, all or none of them, and tells of each.
func (a *app) tag(ctx context.Context, images *service.Service, image string, names []string, f tagFlags) error {
	tagged, err := images.TagAll(ctx, image, names...)
	if err != nil {
		return err
	}
	if err := a.warn(tagged[0].Warnings); err != nil {
		return err
	}
	done := make([]taggedReport, len(tagged))
	for i, t := range tagged {
		done[i] = newTaggedReport(t)
	}
	if f.json {
		return a.writeJSON(done)
	}
	for _, r := range done {
		if err := a.writeLine(text.Escape(r.Name) + " " + r.Digest.String()); err != nil {
			return err
		}
		if err := a.printNotes(r.notes()); err != nil {
			return err
		}
	}
	return nil
}

func newTaggedReport(t service.Tagged) taggedReport {
	r := taggedReport{Name: service.Familiar(store.Record{Name: t.Name}), Digest: t.Target.Digest, Dangling: t.Dangling}
	if d := t.Before.Target.Digest; d != r.Digest {
		r.Before = d
	}
	return r
}

// notes say what lost its name.
func (r taggedReport) notes() []string {
	if !r.Dangling {
		return nil
	}
	return []string{fmt.Sprintf("what %s was before, %s, has no name any more", r.Name, r.Before)}
}
